// Package qmp speaks to a qemu through its monitor, and has it save, restore and copy.
package qmp
