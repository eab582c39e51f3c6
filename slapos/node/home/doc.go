// Package home reads and writes files in a directory in which somebody else may write too, as a
// SlapOS node does in the directories of its partitions, mostly as root.
//
// No name leads out of the directory, whatever links its owner puts there, also while it is looked
// at; nothing waits for a FIFO or a device; nothing larger than the caller says is read; and what
// is written is there whole or not at all. What is written belongs to the directory's owner where
// we are root, and else to us.
package home
