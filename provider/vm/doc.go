// Package vm is the provider of type vm: virtual machines of this computer under qemu. Each has a
// kernel of its own, a disk layer over a base image, and hostler's agent behind virtio-serial
// ports, or sshd behind a forwarded port.
//
// With warm = yes one machine is booted for all, and saved: its memory as a file, the state of its
// devices, its disk layer. Every instance is restored from that in a tenth of a second. It maps the
// memory file privately, so that unwritten memory is shared by all, and has a disk layer of its
// own. Before anything else runs it gets an identity: host name, machine-id, ssh host key, random
// numbers. That, and all that is slow the first time, is its rehearsal, which goes on behind Create
// and Clean. Then it is paused until it is used. It gets the time and fresh random numbers then.
//
// Everything is in options.Dir:
//
//	instances/ID/owner                whose it is, which process runs it, and how far it has come; without it nothing here is touched
//	instances/ID/disk.qcow2 seed.iso  its disk layer, and what cloud-init reads
//	instances/ID/console.log          what its serial console said
//	instances/ID/qmp agent.N          qemu's sockets
//	templates/KEY/                    what was saved, by a digest of all that it depends on: qemu's version, the image, the options
//	boot/KEY                          the initrd, with the agent added to it
//	facts/KEY                         what was found out about this machine: whether KVM boots the kernel
//	new-* trash/*                     what is being made and what is being deleted; what is old or complete there goes at the next call
//
// Each step is recorded before it is done, and repeated harmlessly by any process. qemu is a
// process of its own, and survives hostler's. It is known by its number with its time of start, and
// by a mark in its environment, and signalled through a descriptor only: no other process can be
// hit. Whatever works on one instance holds a lock on its directory, which the kernel lets go with
// the process.
package vm
