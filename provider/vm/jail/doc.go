// Package jail is what a qemu's process does before it becomes qemu. It leaves the host's files
// behind for a root of its own with a few of them. It becomes a user of its own, gives up all
// capabilities and inherited descriptors, and executes qemu with the descriptors that were handed
// to it.
//
// The process is made by provider/vm, in name spaces of its own. It gets a Plan at descriptor 3.
// The package is linked into the agent, as Go cannot change a process's root between fork and exec.
package jail
