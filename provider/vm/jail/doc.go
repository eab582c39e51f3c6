// Package jail is what a qemu's process does before it becomes qemu: it leaves the host's files
// behind for a root of its own with a few of them, becomes a user of its own, gives up all
// capabilities and what it was born with, and executes qemu with the descriptors that it was
// handed.
//
// The process is made by provider/vm, in name spaces of its own. It gets a Plan at descriptor 3.
// The package is linked into the agent, as Go cannot change a process's root between fork and exec.
package jail
