// Package qemu knows the program qemu: what it needs of this machine, and how files are handed to
// it.
package qemu
