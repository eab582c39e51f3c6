package confine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options say how far to go.
type Options struct {
	// allow name spaces and mounts inside, and the capabilities for them: the user's choice
	Nesting bool `json:"nesting,omitempty"`
	// allow clone3, whose flags no filter sees: ForbidUsers has forbidden what it could be misused
	// for
	Clone3 bool `json:"clone3,omitempty"`
	// allow io_setup, of whose contexts the machine has fs.aio-max-nr for all: the user's choice
	AIO bool `json:"aio,omitempty"`
	// keep CAP_NET_RAW: a program may write any packet to its own network
	NetRaw bool `json:"net_raw,omitempty"`
	// defences that are left out, by name; for tests, which show what they are good for
	Without []string `json:"without,omitempty"`
}

// The names of the defences.
const (
	Dumpable     = "dumpable"
	NoNewPrivs   = "no-new-privs"
	Seccomp      = "seccomp"
	Capabilities = "capabilities"
)

// Self confines the calling process, all its threads and all that it will start. It cannot be
// undone. After an error the process is confined in part and must not serve. It may be called once,
// by a program built without cgo.
func Self(o Options) error {
	for _, name := range o.Without {
		if name != Dumpable && name != NoNewPrivs && name != Seccomp && name != Capabilities {
			return fmt.Errorf("confine: there is no defence %q", name)
		}
	}
	with := func(name string) bool { return !slices.Contains(o.Without, name) }
	runtime.LockOSThread() // what is set on this thread, the filter's loading brings to the others
	defer runtime.UnlockOSThread()

	if with(Dumpable) {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("confine: close /proc/self: %w", err)
		}
	}
	if with(NoNewPrivs) {
		if err := noNewPrivs(!with(Seccomp)); err != nil {
			return fmt.Errorf("confine: no new privileges: %w", err)
		}
	}
	if with(Seccomp) { // before the capabilities: without no-new-privs, loading needs one
		if err := loadFilter(filter(runtime.GOARCH, permits{nesting: o.Nesting, clone3: o.Nesting || o.Clone3, aio: o.AIO})); err != nil {
			return fmt.Errorf("confine: filter of system calls: %w", err)
		}
	}
	if with(Capabilities) {
		if err := dropCapabilities(o, !with(NoNewPrivs)); err != nil {
			return fmt.Errorf("confine: capabilities: %w", err)
		}
	}
	return nil
}

// ForbidUsers forbids to make user name spaces in that of the calling process, its root, by the
// kernel's own limit, whatever the system call. All other kinds of name spaces need a capability
// that Self gives up. It needs /proc, writable, and Linux 4.9.
func ForbidUsers() error {
	fd, err := unix.Open("/proc/sys/user/max_user_namespaces", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("0"))
	return err
}

// noNewPrivs sets the flag on this thread, from which loading the filter brings it to all, or on
// all.
func noNewPrivs(all bool) error {
	if !all {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
}

// loadFilter loads a program for all threads at once.
func loadFilter(program []unix.SockFilter) error {
	if len(program) == 0 {
		return fmt.Errorf("there is none for %s", runtime.GOARCH)
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(
		unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)),
	)
	runtime.KeepAlive(program)
	switch {
	case errno == unix.ENOSYS || errno == unix.EINVAL:
		return fmt.Errorf("this kernel has none (CONFIG_SECCOMP_FILTER): %w", errno)
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d has another already", thread)
	}
	return nil
}

// everywhere makes a system call on all threads.
func everywhere(call, a, b, c uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(call, a, b, c)
	if errno == syscall.ENOTSUP {
		return errors.New("this program was built with cgo, so its threads cannot all be reached")
	}
	if errno != 0 {
		return errno
	}
	return nil
}
