// Package home reads and writes files in a directory in which another user may write too, as a
// SlapOS node does in the directories of its partitions, mostly as root.
//
// No name leads out of the directory, whatever links its owner puts there, also meanwhile. No call
// blocks on a FIFO or a device, nor reads more than the caller says. A file is written whole or not
// at all. New files belong to the directory's owner if we are root, and else to us.
package home
