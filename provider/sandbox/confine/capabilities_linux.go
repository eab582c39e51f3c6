package confine

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept returns the capabilities that stay, a bit for each: what root inside needs to install
// software, own files and serve low ports. CAP_SETFCAP lets packages be unpacked and name spaces
// with a root be made; CAP_SYS_CHROOT and CAP_AUDIT_WRITE are what package managers and sshd want.
func kept(o Options) uint64 {
	keep := bits(unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETFCAP,
		unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE)
	if o.NetRaw || o.Nesting {
		keep |= bits(unix.CAP_NET_RAW)
	}
	if o.Nesting { // not CAP_SYS_PTRACE: it opens a process that is not dumpable
		keep |= bits(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN)
	}
	return keep
}

func bits(caps ...int) uint64 {
	var out uint64
	for _, c := range caps {
		out |= 1 << c
	}
	return out
}

// dropCapabilities leaves all threads with what is kept of what they have: permitted and effective;
// nothing is inheritable, so nothing ambient.
func dropCapabilities(o Options, bounding bool) error {
	keep := kept(o)
	if bounding { // first: it needs CAP_SETPCAP
		for c := range 64 {
			if keep&bits(c) != 0 {
				continue
			}
			err := everywhere(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0)
			if err == unix.EINVAL {
				break // the kernel has no more
			}
			if err != nil {
				return err
			}
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return err
	}
	for i := range has {
		has[i].Permitted &= uint32(keep >> (32 * i))
		has[i].Effective = has[i].Permitted
		has[i].Inheritable = 0
	}
	header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var pin runtime.Pinner // other threads read these through a number
	defer pin.Unpin()
	pin.Pin(&header)
	pin.Pin(&has)
	return everywhere(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&has[0])), 0)
}
