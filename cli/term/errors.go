package term

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// The exit statuses of run and shell that are not the command's own.
const (
	ExitLost     = 121 // contact lost; the command may still run
	ExitMissing  = 122 // the command went well, and a file that it was to make is missing
	ExitTimeout  = 124 // --timeout has passed
	ExitNotBegun = 125 // hostler failed before the command began
	ExitNotExec  = 126
	ExitNotFound = 127
)

// Exit is an exit status without a message: the status of a command, or of an error that was
// printed already.
type Exit int

func (s Exit) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

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

// ExitStatus returns the exit status of a program that ends with err, which may be nil.
func ExitStatus(err error) int {
	var s Exit
	var i *Interruption
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, &i):
		return i.Status()
	case errors.Is(err, context.DeadlineExceeded):
		return 4
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.status
		}
	}
	return 1
}

// KindName names an error's kind for machines.
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

// KindOf returns the kind that an error has; nil: none.
func KindOf(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.kind
		}
	}
	return nil
}

// TellAs prints an error under a program's name: a line for each of joined errors, which says what
// happened and to which thing, and a hint of what the user may do. An exit status prints nothing.
func (t *Terminal) TellAs(program string, err error) {
	var s Exit
	if err == nil || errors.As(err, &s) {
		return
	}
	for _, e := range api.Apart(err) {
		_ = Printf(t.Err, "%s: %s\n", program, ErrorText(e))
		if hint := t.hint(program, e); hint != "" {
			_ = Printf(t.Err, "hint: %s\n", hint)
		}
	}
}

// Tell prints an error as TellAs does, or as a document for each of joined errors.
func (t *Terminal) Tell(err error) {
	var s Exit
	if !t.JSON || err == nil || errors.As(err, &s) {
		t.TellAs(t.Program, err)
		return
	}
	for _, e := range api.Apart(err) {
		_ = writeJSON(t.Err, ErrorDocument{ErrorText(e), KindName(e), t.hint(t.Program, e)}, "")
	}
}

func (t *Terminal) hint(program string, err error) string {
	hint := compute.Hint(err)
	if t.Rename != nil && hint != "" {
		hint = t.Rename(program, hint)
	}
	return hint
}

// ErrorText is an error's text for people. A controller answers with the same text.
func ErrorText(err error) string { return api.Text(err) }

// Ours reports whether an error has one of our kinds, or is an exit status. An error of cobra's own
// has none.
func Ours(err error) bool {
	var e *compute.Error
	var s Exit
	var k *compute.Kind
	var i *Interruption
	return errors.As(err, &i) || errors.As(err, &e) || errors.As(err, &s) || errors.As(err, &k) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
