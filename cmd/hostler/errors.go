package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// The exit statuses of run and shell that are not the command's own.
const (
	exitLost     = 121 // contact lost; the command may still run
	exitMissing  = 122 // the command went well, and a file that it was to make is missing
	exitTimeout  = 124 // --timeout has passed
	exitNotBegun = 125 // hostler failed before the command began
	exitNotExec  = 126
	exitNotFound = 127
)

// status is an exit status that is no error of ours: what a command returned, or one whose reason was told already.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// kindStatus has one line for each kind of error. Finer kinds are found by their parents, so those with a parent come first.
var kindStatus = []struct {
	kind   error
	name   string
	status int
}{
	{compute.ErrInvalid, "invalid", 2},
	{compute.ErrNoCapacity, "no-capacity", 3},
	{compute.ErrTimeout, "timeout", 4},
	{compute.ErrNotFound, "not-found", 5},
	{compute.ErrConflict, "conflict", 6},
	{compute.ErrDenied, "denied", 7},
	{compute.ErrUnavailable, "unavailable", 1},
	{compute.ErrFailed, "failed", 1},
}

// exitStatus returns the status for an error, nil included.
func exitStatus(err error) int {
	var s status
	var i *errInterrupted
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, &i):
		return i.status()
	case errors.Is(err, context.DeadlineExceeded):
		return 4
	}
	for _, k := range kindStatus {
		if errors.Is(err, k.kind) {
			return k.status
		}
	}
	return 1
}

// kindName names an error's kind for machines.
func kindName(err error) string {
	if i := (*errInterrupted)(nil); errors.As(err, &i) {
		return "interrupted"
	}
	for _, k := range kindStatus {
		if errors.Is(err, k.kind) {
			return k.name
		}
	}
	return "failed"
}

// invalid makes an error about what the user typed or configured.
func invalid(hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...), Hint: hint}
}

// denied makes an error about what one may not do.
func denied(hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrDenied, Err: fmt.Errorf(format, args...), Hint: hint}
}

// conflict makes an error about what cannot be now.
func conflict(hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrConflict, Err: fmt.Errorf(format, args...), Hint: hint}
}

// tell prints an error: what happened and to which thing, on one line each for joined errors, and what the user may do about it.
func tell(w io.Writer, program string, err error) {
	var s status
	if err == nil || errors.As(err, &s) {
		return
	}
	for _, e := range api.Apart(err) {
		_ = fprintf(w, "%s: %s\n", program, plain(e))
		if hint := asCalled(program, compute.Hint(e)); hint != "" {
			_ = fprintf(w, "hint: %s\n", hint)
		}
	}
}

// tell prints an error, with --json for machines.
func (a *app) tell(err error) {
	var s status
	if !a.flags.json || err == nil || errors.As(err, &s) {
		tell(a.errs, a.program, err)
		return
	}
	for _, e := range api.Apart(err) {
		_ = writeJSON(a.errs, errorView{plain(e), kindName(e), asCalled(a.program, compute.Hint(e))}, "")
	}
}

// plain is an error's text for people, the same as a controller answers with.
func plain(err error) string { return api.Text(err) }
