package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raw makes a system call and tells the error's name, or "ok".
func raw(number uintptr, args ...uintptr) string {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	return name(errno)
}

// name returns the symbolic name of an error number, such as EPERM, or "ok" if there was no
// error.
func name(err error) string {
	errno, ok := err.(syscall.Errno)
	if !ok && err != nil {
		return err.Error()
	}
	if !ok || errno == 0 {
		return "ok"
	}
	return unix.ErrnoName(errno)
}

// cloned starts a process with flags.
func cloned(flags uintptr) string {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	err := cmd.Run()
	if e, ok := err.(*os.PathError); ok {
		err = e.Err
	}
	return name(err)
}

func socket(family, kind int) string {
	_, err := unix.Socket(family, kind, 0)
	return name(err)
}

func socketpair(family, kind int) string {
	_, err := unix.Socketpair(family, kind, 0)
	return name(err)
}

func open(path string) string {
	_, err := unix.Open(path, unix.O_RDONLY, 0)
	return name(err)
}

func check(what string) string {
	word := unsafe.Pointer(&[16]uint64{})
	switch what {
	case "status":
		return status("/proc/self/status") + " euid:" + strconv.Itoa(os.Geteuid())
	case "mount":
		return name(unix.Mount("tmpfs", "/mnt/over", "tmpfs", 0, ""))
	case "umount":
		return name(unix.Unmount("/mnt/full", unix.MNT_DETACH))
	case "bind":
		return name(unix.Mount("/proc", "/mnt/over", "", unix.MS_BIND, ""))
	case "pivot_root":
		return name(unix.PivotRoot("/nowhere", "/nowhere"))
	case "fsopen":
		_, err := unix.Fsopen("tmpfs", 0)
		return name(err)
	case "open_tree":
		_, err := unix.OpenTree(unix.AT_FDCWD, "/mnt", 0)
		return name(err)
	case "move_mount":
		return name(unix.MoveMount(-1, "", -1, "", 0))
	case "mount_setattr":
		return name(unix.MountSetattr(-1, "/mnt", 0, &unix.MountAttr{}))
	case "new user":
		return cloned(unix.CLONE_NEWUSER)
	case "new uts":
		return name(unix.Unshare(unix.CLONE_NEWUTS))
	case "unshare files":
		return name(unix.Unshare(unix.CLONE_FS))
	case "clone3":
		return raw(unix.SYS_CLONE3, 0, 0)
	case "setns":
		return raw(unix.SYS_SETNS, ^uintptr(0), 0)
	case "sethostname":
		return name(unix.Sethostname([]byte("other")))
	case "keyctl":
		return raw(unix.SYS_KEYCTL, 0, ^uintptr(2), 1) // the session's keyring
	case "io_setup":
		return raw(unix.SYS_IO_SETUP, 1, uintptr(word))
	case "perf_event_open":
		return raw(unix.SYS_PERF_EVENT_OPEN, 0)
	case "io_uring":
		return raw(unix.SYS_IO_URING_SETUP, 1, uintptr(word))
	case "userfaultfd":
		return raw(unix.SYS_USERFAULTFD, 1)
	case "fanotify":
		return raw(unix.SYS_FANOTIFY_INIT, 0x200, 0)
	case "syslog":
		return raw(unix.SYS_SYSLOG, 10)
	case "acct", "swapoff", "clock_settime", "bpf", "init_module", "kexec_load", "reboot", "open_by_handle_at", "adjtimex":
		n := map[string]uintptr{"acct": unix.SYS_ACCT, "swapoff": unix.SYS_SWAPOFF, "clock_settime": unix.SYS_CLOCK_SETTIME, "bpf": unix.SYS_BPF,
			"init_module": unix.SYS_INIT_MODULE, "kexec_load": unix.SYS_KEXEC_LOAD, "reboot": unix.SYS_REBOOT,
			"open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "adjtimex": unix.SYS_ADJTIMEX}
		return raw(n[what], 0, 0, 0)
	case "personality 32-bit exec":
		return raw(unix.SYS_PERSONALITY, 0x0400000)
	case "personality no random":
		return raw(unix.SYS_PERSONALITY, 0x0040000)
	case "TIOCSTI", "TIOCLINUX", "TIOCSETD":
		f, err := os.Open("/dev/null")
		if err != nil {
			return err.Error()
		}
		n := map[string]uintptr{"TIOCSTI": unix.TIOCSTI, "TIOCLINUX": 0x541c, "TIOCSETD": unix.TIOCSETD}
		return raw(unix.SYS_IOCTL, f.Fd(), n[what], uintptr(word))
	case "AF_UNIX":
		return socket(unix.AF_UNIX, unix.SOCK_STREAM)
	case "AF_INET":
		return socket(unix.AF_INET, unix.SOCK_STREAM)
	case "AF_NETLINK":
		return socket(unix.AF_NETLINK, unix.SOCK_RAW)
	case "AF_PACKET":
		return socket(unix.AF_PACKET, unix.SOCK_RAW)
	case "AF_VSOCK":
		return socket(unix.AF_VSOCK, unix.SOCK_STREAM)
	case "AF_ALG":
		return socket(unix.AF_ALG, unix.SOCK_SEQPACKET)
	case "pair AF_UNIX":
		return socketpair(unix.AF_UNIX, unix.SOCK_STREAM)
	case "pair AF_VSOCK":
		return socketpair(unix.AF_VSOCK, unix.SOCK_STREAM)
	case "pair AF_ALG":
		return socketpair(unix.AF_ALG, unix.SOCK_SEQPACKET)
	case "future":
		return raw(999)
	case "x32":
		return raw(0x40000000 | 39)
	case "/proc/1/environ", "/proc/1/mem", "/proc/1/maps":
		return open(what)
	case "/proc/1/exe", "/proc/1/root", "/proc/1/cwd", "/proc/1/fd/0":
		_, err := os.Readlink(what)
		if e, ok := err.(*os.PathError); ok {
			err = e.Err
		}
		return name(err)
	case "/proc/1/root/etc":
		return open(what)
	case "ptrace 1":
		return raw(unix.SYS_PTRACE, 0x4206, 1) // PTRACE_SEIZE, which does not stop it
	case "ptrace child":
		cmd := exec.Command("/bin/sleep", "5")
		if err := cmd.Start(); err != nil {
			return err.Error()
		}
		defer cmd.Process.Kill()
		return raw(unix.SYS_PTRACE, 0x4206, uintptr(cmd.Process.Pid))
	case "inherit": // all capabilities made inheritable, then exec
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var d [2]unix.CapUserData
		if err := unix.Capget(&h, &d[0]); err != nil {
			return err.Error()
		}
		d[0].Inheritable |= 1 << unix.CAP_SYS_ADMIN
		h.Version = unix.LINUX_CAPABILITY_VERSION_3
		// On this thread, which is the one that execs.
		if err := unix.Capset(&h, &d[0]); err != nil {
			return err.Error()
		}
		return name(syscall.Exec("/mnt/plain", []string{"/mnt/plain", "check", "status"}, os.Environ()))
	}
	return fmt.Sprintf("no check %q", what)
}
