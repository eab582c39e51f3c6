//go:build linux

package sandbox_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notice and reply are struct seccomp_notif and struct seccomp_notif_resp of the kernel.
type (
	notice struct {
		id         uint64
		pid, flags uint32
		call       int32
		arch       uint32
		at         uint64
		args       [6]uint64
	}
	reply struct {
		id    uint64
		value int64
		err   int32
		flags uint32
	}
)

// noOverlay makes the kernel, for this process and all that it starts, one that has no overlay file
// system: mount and fsopen of one end with ENODEV, as they do there. A filter cannot read names, so
// it asks us.
func noOverlay() error {
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{
		{Code: load},
		{Code: equal, K: unix.SYS_MOUNT, Jt: 2},
		{Code: equal, K: unix.SYS_FSOPEN, Jt: 1},
		{Code: ret, K: 0x7fff0000}, // allowed
		{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	flags := unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return errno
	}
	unix.CloseOnExec(int(fd)) // who starts it answers, to its own end
	go func() {
		for {
			var n notice
			if _, _, errno := unix.Syscall(
				unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)),
			); errno == unix.ENOENT || errno == unix.EINTR {
				continue // whoever asked was killed
			} else if errno != 0 {
				panic(errno)
			}
			r := reply{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			name := n.args[0] // of fsopen
			if n.call == unix.SYS_MOUNT {
				name = n.args[2]
			}
			if n.reads(name) == "overlay" {
				r = reply{id: n.id, err: -int32(unix.ENODEV)}
			}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
		}
	}()
	return nil
}

// reads returns the text at an address of whoever asks.
func (n *notice) reads(at uint64) string {
	if at == 0 {
		return ""
	}
	f, err := os.Open("/proc/" + strconv.Itoa(int(n.pid)) + "/mem")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b := make([]byte, 8)
	if _, err := f.ReadAt(b, int64(at)); err != nil {
		panic(fmt.Sprintf("%x: %v", at, err))
	}
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
