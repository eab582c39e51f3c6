package process

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// seesStops means that a stopped child is noticed.
const seesStops = true

// waitEnd returns when the child pid has ended, and leaves it to be reaped. It calls stopped
// whenever the child was stopped.
func waitEnd(pid int, stopped func()) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || info.Code != cldStopped {
			return
		}
		var taken unix.Siginfo
		if unix.Waitid(unix.P_PID, pid, &taken, unix.WSTOPPED|unix.WNOHANG, nil) == nil && taken.Signo != 0 {
			stopped()
		}
	}
}

// The requests for a terminal's modes.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)

const cldStopped = 5 // CLD_STOPPED of <signal.h>

// setTerminalGroup makes group the foreground group of a terminal. From the background that would
// stop us, unless the signal is blocked, which is done for this thread alone: an ignored signal
// would be inherited by every child started meanwhile.
func setTerminalGroup(f *os.File, group int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	bits := 8 * strconv.IntSize / 8
	block.Val[(int(unix.SIGTTOU)-1)/bits] |= 1 << ((int(unix.SIGTTOU) - 1) % bits)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }()
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPGRP, group) })
	}
}

// socketIn returns an address for the socket that name is in r. The address stays in r whatever
// happens to the path meanwhile: it goes by an open file, the socket itself or, to make one, its
// directory. The file must stay open while the address is used.
func socketIn(r *os.Root, name string, listen bool) (string, *os.File, error) {
	dir, err := r.OpenFile(path.Dir(name), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, err
	}
	if listen { // a link in the last place is not followed
		return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), path.Base(name)), dir, nil
	}
	defer func() { _ = dir.Close() }()
	fd, err := unix.Openat(int(dir.Fd()), path.Base(name), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if fi, err := f.Stat(); err != nil || fi.Mode()&os.ModeSocket == 0 {
		_ = f.Close()
		return "", nil, errors.Join(err, unix.ECONNREFUSED)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), f, nil
}

// killSession kills every process of a session but its leader, in all groups that a shell has made.
// It looks again while it finds some: new ones may have been born meanwhile.
func killSession(sid int) {
	for range 10 {
		found := false
		all, _ := proc.All()
		for pid, s := range all {
			if s.Session == sid && pid != sid && !s.Ended() {
				found = unix.Kill(pid, unix.SIGKILL) == nil || found
			}
		}
		if !found {
			return
		}
	}
}
