// Package chroot is the provider of type chroot: computers that are directories of this machine
// with the root directory changed. The base is a directory or a tarball; each instance has a
// private copy-on-write layer over it (overlayfs, or a copy by reflinks where that is impossible),
// a small /dev and a /proc of its own.
//
// It needs root on Linux. A chroot shares the kernel's view of processes, users and network with
// the host, and root inside can leave it. It keeps systems apart, but does not stop an attacker;
// the type sandbox does.
//
// Everything is in options.Dir:
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
// Each step may be repeated, in any process, so a kill at any point leaves nothing that the next
// Create, Connect or Destroy does not finish. After a reboot Connect mounts again. A call on an
// instance holds a lock on its directory, which the kernel releases with the process. No path
// inside of an instance is followed by name from outside: its links lead nowhere.
package chroot
