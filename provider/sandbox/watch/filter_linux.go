//go:build amd64 || arm64

package watch

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's structures of user notifications.
type (
	notice struct {
		id    uint64
		pid   uint32
		flags uint32
		nr    int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

// filter makes the kernel ask the watcher about the watched calls, and allows all others: calls
// that the sandbox's own filter refuses stay refused.
func filter() []unix.SockFilter {
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	out := []unix.SockFilter{{Code: load, K: 4}, {Code: equal, K: audit, Jt: 1}, allow, {Code: load, K: 0}}
	for i, c := range calls {
		out = append(out, unix.SockFilter{Code: equal, K: c.number, Jt: uint8(len(calls) - i)})
	}
	return append(out, allow, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF})
}

// listen loads the filter for the calling thread and its descendants, and returns the descriptor on
// which the watcher is asked.
func listen() (int, error) {
	program := filter()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return -1, fmt.Errorf("watch system calls: %w", errno)
	}
	return int(fd), nil
}

// ioctl is a request about notifications, which is repeated when a signal comes in between.
func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}
