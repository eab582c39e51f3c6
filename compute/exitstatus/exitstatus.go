// Package exitstatus has the exit statuses of commands, those of runs included. It names the
// kinds of errors for programs.
package exitstatus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// The exit statuses of a run that are not the command's own.
const (
	Lost     = 121 // contact lost; the command may still run
	Missing  = 122 // the command succeeded, but a required file is missing
	Timeout  = 124 // the command's time limit has passed
	NotBegun = 125 // hostler failed before the command began
	NotExec  = 126
	NotFound = 127
)

// Exit is an exit status without a message: the status of a command, or of an error that was
// printed already.
type Exit int

func (s Exit) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Interruption is the error of a command that a signal ended.
type Interruption struct {
	Signal string // its name: "INT"
	Became string // what became of the work; "" if there is nothing to say
}

func (e *Interruption) Error() string {
	if e.Became == "" {
		return "interrupted"
	}
	return "interrupted: " + e.Became
}

// Status returns the exit status of a program that the signal ended.
func (e *Interruption) Status() int { return 128 + compute.SignalNumber(e.Signal) }

// Signals names the signals that a run passes to its command.
var Signals = map[os.Signal]string{
	syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP", syscall.SIGQUIT: "QUIT",
	syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
}

// kinds has a line for each kind of error. A finer kind has its parent's line, so kinds that have a
// parent come first.
var kinds = []struct {
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

// Of returns the exit status of a program that ends with err, which may be nil.
func Of(err error) int {
	if n, ok := own(err); ok || err == nil {
		return n
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return 4
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.status
		}
	}
	return 1
}

// OfRun returns the exit status of a run that ends with err, which may be nil.
func OfRun(err error) int {
	n, ok := own(err)
	switch {
	case ok || err == nil:
		return n
	case errors.Is(err, compute.ErrLost):
		return Lost
	case errors.Is(err, compute.ErrNoCommand):
		return NotFound
	case errors.Is(err, compute.ErrNotExecutable):
		return NotExec
	}
	return NotBegun
}

// own returns the exit status that an error itself has.
func own(err error) (n int, ok bool) {
	var s Exit
	var i *Interruption
	switch {
	case errors.As(err, &s):
		return int(s), true
	case errors.As(err, &i):
		return i.Status(), true
	}
	return 0, false
}

// Kind returns the kind of an error; nil if it has none.
func Kind(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.kind
		}
	}
	return nil
}

// KindOfRun names the kind of an error that ended a run before its command did. told reports that
// the error is an exit status alone: what it means was told where it arose.
func KindOfRun(err error) (name string, told bool) {
	var s Exit
	if !errors.As(err, &s) {
		return KindName(err), false
	}
	return map[Exit]string{Timeout: "timeout", Missing: "missing"}[s], true
}

// KindName names an error's kind for programs.
func KindName(err error) string {
	if i := (*Interruption)(nil); errors.As(err, &i) {
		return "interrupted"
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.name
		}
	}
	return "failed"
}
