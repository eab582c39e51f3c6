// Package seen tells a master of ours what runs on a node: the programs of its partitions and what
// their promises said last, when that has changed and every five minutes. A master that does not
// want to know is left alone for an hour.
//
// Elsewhere than on Linux there is nothing to be seen.
package seen
