// Package treewatch notices changes of a working tree, and runs a function after each change.
//
// Tree sends to a channel of one slot when the scan of a tree has changed. The kernel's notices
// only say when to scan. So repeated notices, and those of files outside the tree, do no harm. Loop
// runs a function again whenever the slot is full, but never twice at once. However much changes
// meanwhile, one more run is pending.
package treewatch
