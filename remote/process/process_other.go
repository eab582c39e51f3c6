//go:build !linux

package process

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// seesStops means that a stopped child is noticed. It is not here, so a command gets the terminal
// at once.
const seesStops = false

// The requests for a terminal's modes.
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// waitEnd returns when the child pid has ended. The libraries offer no way here to wait without
// reaping, so it polls; it does not notice a stopped child.
func waitEnd(pid int, _ func()) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if zombie(pid) {
			return
		}
		time.Sleep(pause)
	}
}

// zombie reports whether a child has ended: it still has its number, but its group cannot be asked
// for.
func zombie(pid int) bool {
	_, err := unix.Getpgid(pid)
	return err != nil
}

// setTerminalGroup makes group the foreground group of a terminal. From the background that would
// stop us unless the signal is ignored; here no library blocks it for one thread. A child would
// inherit an ignored signal, so no child may start meanwhile: the start of one takes the other side
// of this lock.
func setTerminalGroup(f *os.File, group int) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPGRP, group) })
	}
}

// socketIn returns an address for the socket that name is in r. There is no way here to name an
// open directory, so a user that may change the way to it meanwhile can lead it out of r.
func socketIn(r *os.Root, name string, _ bool) (string, *os.File, error) {
	return filepath.Join(r.Name(), name), nil, nil
}

// killSession does nothing here: its caller kills the groups that can be found.
func killSession(int) {}
