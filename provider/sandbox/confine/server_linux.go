package confine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// served lists the system calls of a process that only serves connections that it is handed. All
// others are refused: it opens no file, makes no socket, connects to nothing and accepts nothing,
// hands nothing over, executes nothing, and signals nobody but itself.
func served() []call {
	return []call{
		{"read", 0, 63, allow},
		{"write", 1, 64, allow},
		{"readv", 19, 65, allow},
		{"writev", 20, 66, allow},
		{"pread64", 17, 67, allow},
		{"lseek", 8, 62, allow},
		{"close", 3, 57, allow},
		{"close_range", 436, 436, allow},
		{"fstat", 5, 80, allow},
		{"dup3", 292, 24, allow},
		{"fcntl", 72, 25, descriptors},
		{"pipe2", 293, 59, allow},
		{"splice", 275, 76, allow},
		{"sendfile", 40, 71, allow},
		{"shutdown", 48, 210, allow},
		{"recvmsg", 47, 212, allow},
		{"getsockname", 51, 204, allow},
		{"getpeername", 52, 205, allow},
		{"getsockopt", 55, 209, allow},
		{"setsockopt", 54, 208, allow},
		{"epoll_create1", 291, 20, allow},
		{"epoll_ctl", 233, 21, allow},
		{"epoll_wait", 232, -1, allow},
		{"epoll_pwait", 281, 22, allow},
		{"epoll_pwait2", 441, 441, allow},
		{"ppoll", 271, 73, allow},
		{"poll", 7, -1, allow},
		{"eventfd2", 290, 19, allow},
		{"munmap", 11, 215, allow},
		{"madvise", 28, 233, allow},
		{"mremap", 25, 216, allow},
		{"brk", 12, 214, allow},
		{"futex", 202, 98, allow},
		{"nanosleep", 35, 101, allow},
		{"clock_nanosleep", 230, 115, allow},
		{"clock_gettime", 228, 113, allow},
		{"clock_getres", 229, 114, allow},
		{"gettimeofday", 96, 169, allow},
		{"time", 201, -1, allow},
		{"sched_yield", 24, 124, allow},
		{"sched_getaffinity", 204, 123, allow},
		{"getrandom", 318, 278, allow},
		{"rt_sigaction", 13, 134, allow},
		{"rt_sigprocmask", 14, 135, allow},
		{"rt_sigreturn", 15, 139, allow},
		{"rt_sigtimedwait", 128, 137, allow},
		{"sigaltstack", 131, 132, allow},
		{"restart_syscall", 219, 128, allow},
		{"exit_group", 231, 94, allow},
		{"getpid", 39, 172, allow},
		{"gettid", 186, 178, allow},
		{"getuid", 102, 174, allow},
		{"geteuid", 107, 175, allow},
		{"getgid", 104, 176, allow},
		{"getegid", 108, 177, allow},
		{"getppid", 110, 173, allow},
		{"uname", 63, 160, allow},
		{"set_robust_list", 273, 99, allow},
		{"rseq", 334, 293, allow},
		{"arch_prctl", 158, -1, allow},
		{"membarrier", 324, 283, allow},
		{"getrusage", 98, 165, allow},
		{"mmap", 9, 222, passive},
		{"mprotect", 10, 226, passive},
		{"clone", 56, 220, threads},
		{"clone3", 435, 435, enosys},
		{"tgkill", 234, 131, own},
	}
}

// only cuts all numbers into ranges of one rule each, of which those not listed are refused.
func only(list []call, arch string) []segment {
	number := func(c call) int {
		if arch == "arm64" {
			return int(c.arm64)
		}
		return int(c.amd64)
	}
	list = slices.DeleteFunc(list, func(c call) bool { return number(c) < 0 })
	slices.SortFunc(list, func(a, b call) int { return cmp.Compare(number(a), number(b)) })
	out := []segment{{0, eperm}}
	for _, c := range list {
		n := uint32(number(c))
		if last := &out[len(out)-1]; last.first == n {
			last.rule = c.rule
		} else {
			out = append(out, segment{n, c.rule})
		}
		out = append(out, segment{n + 1, eperm})
	}
	return out
}

// Server confines the calling process to serving connections that it is handed. It cannot be
// undone. What this machine, or the way in which the program was built, does not have is returned
// by its name; the rest is done all the same.
func Server() (lacks []string, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("confine: close /proc/self: %w", err)
	}
	if err := noNewPrivs(false); err != nil {
		return nil, fmt.Errorf("confine: no new privileges: %w", err)
	}
	if err := landlock(); err != nil {
		lacks = append(lacks, "landlock: "+err.Error())
	}
	if err := dropAll(); err != nil {
		lacks = append(lacks, "capabilities: "+err.Error())
	}
	program := filterOf(runtime.GOARCH, only(served(), runtime.GOARCH), permits{self: uint32(os.Getpid())})
	if err := loadFilter(program); err != nil {
		lacks = append(lacks, "seccomp: "+err.Error())
	}
	return lacks, nil
}

// dropAll gives up all capabilities, of all threads.
func dropAll() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has, none [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return err
	}
	if has == none {
		return nil
	}
	header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var pin runtime.Pinner // other threads read these through a number
	defer pin.Unpin()
	pin.Pin(&header)
	pin.Pin(&none)
	return everywhere(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
}

// landlock takes away all files, all ports, and what is outside of the process's own domain:
// abstract sockets and signals.
func landlock() error {
	const versionOnly = 1
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, versionOnly)
	if errno != 0 {
		return errors.New("this kernel has none")
	}
	rules := struct{ files, ports, scoped uint64 }{files: 1<<13 - 1}
	size := unsafe.Sizeof(rules.files)
	if abi >= 2 {
		rules.files |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		rules.files |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		rules.ports, size = unix.LANDLOCK_ACCESS_NET_BIND_TCP|unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, 16
	}
	if abi >= 5 {
		rules.files |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		rules.scoped, size = 1|2, 24 // abstract sockets, signals
	}
	set, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(set))
	if err := everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	return everywhere(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0)
}
