package term

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
)

// The exit statuses of run and shell that are not the command's own.
const (
	ExitLost     = exitstatus.Lost
	ExitNotBegun = exitstatus.NotBegun
	ExitNotExec  = exitstatus.NotExec
	ExitNotFound = exitstatus.NotFound
)

// Exit is an exit status without a message.
type Exit = exitstatus.Exit

// Interruption is the error of a command that a signal ended.
type Interruption = exitstatus.Interruption

// ExitStatus returns the exit status of a program that ends with err, which may be nil.
func ExitStatus(err error) int { return exitstatus.Of(err) }

// KindName names an error's kind for programs.
func KindName(err error) string { return exitstatus.KindName(err) }

// KindOf returns the kind of an error; nil if it has none.
func KindOf(err error) error { return exitstatus.Kind(err) }

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

// ErrorText returns an error's text for the user. A controller answers with the same text.
func ErrorText(err error) string { return api.Text(err) }

// Ours reports whether an error has a kind of hostler's, or is an exit status. Errors of cobra have
// none.
func Ours(err error) bool {
	var e *compute.Error
	var s Exit
	var k *compute.Kind
	var i *Interruption
	return errors.As(err, &i) || errors.As(err, &e) || errors.As(err, &s) || errors.As(err, &k) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
