package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// onlyOne takes a lock that one controller at a time has, until it ends, however it ends. ok: it is
// ours.
func onlyOne(h *host.Host, path string) (ok bool, err error) {
	lock, err := lockAlone(path)
	if lock == nil {
		return false, err
	}
	h.OnClose(func() { _ = lock.Close() })
	return true, nil
}

// lockAlone takes a lock that one process at a time has, until the file is closed or the process
// ends; nil: another has it, or there is an error.
func lockAlone(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for range 20 { // a child that one before us was killed over may have it for a moment
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) &&
			!errors.Is(err, syscall.EINTR) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, err
	}
	return lock, nil
}

// cannotListen is the error of an address that a controller cannot listen on.
func cannotListen(flag, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Conflict("end what listens there, or give another address", "%s %s: the address is in use", flag, addr)
	}
	return fault.Invalid("", "%s %s: %w", flag, addr, err)
}

// aloneOnState refuses to be the second controller of a state in a file: both would direct, and
// both tell webhooks. Those of a database know of each other.
func aloneOnState(h *host.Host) error {
	if _, ok := h.Store().(host.SharedStore); ok {
		return nil
	}
	state, err := host.StateDir()
	if err != nil {
		return err
	}
	ok, err := onlyOne(h, filepath.Join(state, "controller.lock"))
	if err == nil && !ok {
		err = fault.Conflict(
			"stop it first; several controllers at a time want a database: docs/postgres.md",
			"a controller serves the state in %s already", state,
		)
	}
	return err
}
