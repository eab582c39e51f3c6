// Package chroot is the provider of type chroot: computers that are directories of this machine
// with the root directory changed. The base is a directory or a tarball; each instance has a
// private copy-on-write layer over it (overlayfs, or a copy by reflinks where that is impossible),
// a small /dev and a /proc of its own.
//
// Only root on Linux may. A chroot shares the kernel's view of processes, users and network with
// the host, and who is root inside can leave it: it keeps systems apart, not enemies. For those
// there is the type sandbox.
//
// Everything is in Options.Dir:
//
//	bases/DIGEST/         a tarball, unpacked once
//	instances/ID/owner    whose it is; without it, or with another installation's, nothing here is
//	                      touched
//	instances/ID/upper work   the layer, with overlayfs
//	instances/ID/root     the computer's / : a private mount, of the overlay or of the copy that
//	                      is there
//	new-* trash/*         what is being made and what is being deleted; what is old or complete
//	                      there goes at the next call
//
// Each step is repeated harmlessly, in any process, so a kill at any point leaves nothing that the
// next Create, Connect or Destroy does not finish; after a reboot Connect mounts again. Whatever
// works on one instance holds a lock on its directory, which the kernel lets go with the process.
// Nothing inside of an instance is ever followed by name from outside: a link that it plants leads
// nowhere.
package chroot
