//go:build linux

package sandbox_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// takeEnv makes the test's program one that takes all it can get of something the machine has
// once: its value is what, and at most how many. It says how many it got and why no more,
// and holds them until its input ends.
const takeEnv = "HOSTLER_TEST_TAKE"

func take(text string) int {
	words := strings.Fields(text)
	most, err := strconv.Atoi(words[1])
	one, ok := takers[words[0]]
	if err != nil || !ok {
		panic("nothing is called " + text)
	}
	got := 0
	for got < most && err == nil {
		if err = one(got); err == nil {
			got++
		}
	}
	fmt.Printf("took %d: %v\n", got, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// takers take one more, the nth. What they take is held until the program ends.
var takers = map[string]func(n int) error{
	"ptys": func(int) error {
		_, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	},
	"aio": func(int) error {
		var context uintptr
		return call(unix.SYS_IO_SETUP, 128, uintptr(unsafe.Pointer(&context)), 0)
	},
	"keys": func(n int) error {
		kind, name := []byte("user\x00"), []byte("hostler-test-"+strconv.Itoa(n)+"\x00")
		const ring = ^uintptr(1) // the process's own
		_, _, errno := unix.Syscall6(
			unix.SYS_ADD_KEY, uintptr(unsafe.Pointer(&kind[0])), uintptr(unsafe.Pointer(&name[0])),
			uintptr(unsafe.Pointer(&name[0])), 4, ring, 0,
		)
		return errnoError(errno)
	},
	"rings": func(int) error {
		var parameters [120]byte
		return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&parameters)), 0)
	},
	"userfaults": func(int) error { return call(unix.SYS_USERFAULTFD, 1, 0, 0) },
	"fanotify":   func(int) error { return call(unix.SYS_FANOTIFY_INIT, 0x200, 0, 0) },
	"maps": func(int) error { // of bpf: an array of one
		attr := struct{ kind, key, value, most, flags uint32 }{2, 4, 4, 1, 0}
		return call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	},
	"loops": func(int) error {
		_, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
		return err
	},
	"users": func(int) error { return within(unix.CLONE_NEWUSER) },
	"nets":  func(int) error { return within(unix.CLONE_NEWNET) },
	"mounts": func(int) error {
		return unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "size=4k")
	},
	"groups": func(n int) error { // of control, where the host has them
		return os.Mkdir("/sys/fs/cgroup/hostler-test-"+strconv.Itoa(n), 0o755)
	},
	"processes": func(int) error { return within(0) },
	"inotify": func(int) error {
		_, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		return err
	},
	"disk": func(n int) error { return os.WriteFile("/var/full-"+strconv.Itoa(n), make([]byte, 1<<20), 0o600) },
	"shm":  func(n int) error { return os.WriteFile("/dev/shm/full-"+strconv.Itoa(n), make([]byte, 1<<20), 0o600) },
	"inodes": func(n int) error {
		return os.WriteFile("/var/inode-"+strconv.Itoa(n), nil, 0o600)
	},
	"segments": func(int) error {
		_, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
		return err
	},
	"semaphores": func(int) error { return call(unix.SYS_SEMGET, unix.IPC_PRIVATE, 1, unix.IPC_CREAT|0o600) },
	"messages":   func(int) error { return call(unix.SYS_MSGGET, unix.IPC_PRIVATE, unix.IPC_CREAT|0o600, 0) },
	"queues": func(n int) error {
		name := []byte("hostler-test-" + strconv.Itoa(n) + "\x00")
		attr := [8]int64{0, 10, 1024} // flags, most messages, their size
		_, _, errno := unix.Syscall6(
			unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])), unix.O_RDWR|unix.O_CREAT, 0o600,
			uintptr(unsafe.Pointer(&attr)), 0, 0,
		)
		return errnoError(errno)
	},
	"ports": func(n int) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 10000 + n})
		}
		return err
	},
	"epolls": func(int) error {
		_, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		return err
	},
	"pipes": func(int) error { return unix.Pipe2(make([]int, 2), unix.O_CLOEXEC) },
	"timers": func(int) error {
		var id int32
		return call(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&id)))
	},
	"locks": func(n int) error {
		fd, err := unix.Open("/var/lock-test", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: int64(2 * n), Len: 1})
	},
}

// within starts a process in name spaces of its own that stays.
func within(flags uintptr) error {
	c := exec.Command("/bin/sleep", "60")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	return c.Start()
}

func call(number, a, b, c uintptr) error {
	_, _, errno := unix.Syscall(number, a, b, c)
	return errnoError(errno)
}

// errnoError is nil for none.
func errnoError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
