// Package watch notices changes of a working tree and runs something again for each.
//
// Tree tells a channel of one slot when what a scan says of a tree has changed. It looks by
// scanning: what the kernel tells of files only says when, so it does not matter that it tells one
// write twice, or of files that do not belong to the tree. Loop runs a function, never twice at
// once, and again when the slot is full, so that however much changes meanwhile one further run is
// pending.
package watch
