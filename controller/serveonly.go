package controller

import (
	"errors"
	"path/filepath"
	"syscall"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// CannotListen is the error for an address that cannot be listened on.
func CannotListen(flag, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Conflict("end what listens there, or give another address", "%s %s: the address is in use", flag, addr)
	}
	return fault.Invalid("", "%s %s: %w", flag, addr, err)
}

// aloneOnState refuses a second controller on a state in a file, as both would direct and deliver
// webhooks. Controllers on a database coordinate.
func aloneOnState(h *host.Host) error {
	if _, ok := h.Store().(host.SharedStore); ok {
		return nil
	}
	state, err := host.StateDir()
	if err != nil {
		return err
	}
	ok, err := h.OnlyOne(filepath.Join(state, "controller.lock"))
	if err == nil && !ok {
		err = fault.Conflict(
			"stop it first; several controllers at a time want a database: docs/postgres.md",
			"a controller serves the state in %s already", state,
		)
	}
	return err
}
