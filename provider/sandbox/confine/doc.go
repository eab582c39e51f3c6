// Package confine is what the first process of a sandbox does to itself after its mounts and before
// it serves: it gives up what nothing inside needs, for itself and for all that it starts. Self
// does it, on all threads of a Go program that was built without cgo:
//
//   - dumpable: its own memory, open files and root (/proc/1/...) are closed to all processes
//     inside. What it starts gets its own back by exec.
//   - no-new-privs: programs with the setuid bit or file capabilities run without them.
//   - seccomp: system calls that reach the machine instead of the sandbox are refused (Filter).
//   - capabilities: of the user name space's, those stay that Docker leaves, without CAP_MKNOD and
//     CAP_NET_RAW.
//
// Refused calls get EPERM; those that programs have a second way for get ENOSYS, as from a kernel
// without them (clone3, keyrings). System calls of another architecture, 32-bit programs with them,
// end the process by SIGSYS: each would need a list of its own, and a program all of whose calls
// fail dies of something harder to understand. Options.Nesting allows what sandboxes inside of the
// sandbox need: name spaces and mounts.
//
// The bounding set of capabilities is left alone while no-new-privs holds. Each of the 29 calls
// that it would take stops all threads of a Go program, and exec cannot give what the bounding set
// would hold back: under no-new-privs the kernel intersects what a program would gain with what the
// caller has, and nobody can take no-new-privs off. Without it the bounding set is dropped.
//
// None of this is a boundary that a virtual machine would be: the kernel is shared.
package confine
