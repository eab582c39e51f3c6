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

// seesStops: a child that was stopped is not noticed, so it gets the terminal at once.
const seesStops = false

// How a terminal's modes are asked for and set.
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// waitEnd returns when the child pid has ended. Here there is no way to wait without reaping that
// the libraries offer, so it asks now and then; a stopped child is not noticed.
func waitEnd(pid int, _ func()) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if zombie(pid) {
			return
		}
		time.Sleep(pause)
	}
}

// zombie reports whether a child has ended: it still has its number, but no group that one could
// ask for.
func zombie(pid int) bool {
	_, err := unix.Getpgid(pid)
	return err != nil
}

// setTerminalGroup makes group the foreground group of a terminal. From the background that would
// stop us unless the signal is ignored; here no library blocks it for one thread. What is ignored
// is inherited, so no child is started meanwhile: whoever starts one takes the other side of this
// lock.
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
// open directory, so somebody who may change the way to it meanwhile can lead it out of r.
func socketIn(r *os.Root, name string, _ bool) (string, *os.File, error) {
	return filepath.Join(r.Name(), name), nil, nil
}

// killSession can do no more here than the groups that its caller kills anyway.
func killSession(int) {}
