// Package sandbox is the provider of type sandbox: isolated Linux environments, made on this
// machine by the kernel alone. Each has a root of its own: the host's own, a directory's or an
// image's, seen through a private copy-on-write layer. It has its own processes, users, host name
// and network, and limits. Its first process is the agent, on a unix socket. It is never scrubbed:
// clean means made anew.
//
// It works for root, whose sandboxes have users that are nobody on the host. Where the kernel
// allows it, it works for an ordinary user, whose sandboxes have one user: that user, under the
// name of root. docs/sandbox.md says what is no boundary against determined attackers.
//
// Everything is in Options.Dir:
//
//	instances/ID/owner   whose it is; nothing here is touched without it, or if it names another
//	                     installation
//	instances/ID/life    its first process and control group, and that it was ready
//	instances/ID/agent   the socket of the agent
//	instances/ID/layer   what is written, with upper = disk: a directory, or with a limit a file system in a file
//	instances/ID/base    what its image is
//	disk-SIZE            an empty file system to copy for each
//	new-* trash/*        what is being made and what is being deleted
//
// and in Options.Runtime, or in /dev/shm, the layers that hide secrets of the host; in
// Options.NetworkDir what sandboxes' networks share; and /run/hostler/sandbox-uids, whose locked
// bytes are the ranges of user ids in use (root's only). Mounts, name spaces and addresses end with
// the first process, whatever kills it. Each step is repeated harmlessly, in any process, so a kill
// at any point leaves nothing that the next Create or Destroy does not finish.
package sandbox
