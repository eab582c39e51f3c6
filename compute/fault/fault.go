// Package fault makes errors of a kind, with a hint of what the user may do.
//
//	return fault.Invalid("hostler status lists them", "%s: no such source", name)
package fault

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
)

// Invalid returns an ErrInvalid: the user typed or configured something wrong.
func Invalid(hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Denied returns an ErrDenied: the user may not do this.
func Denied(hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrDenied, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Conflict returns an ErrConflict: this is not possible in the present state.
func Conflict(hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrConflict, Err: fmt.Errorf(format, args...), Hint: hint}
}

// KindOf returns the kind of an error: its own, or ErrTimeout where a context ended, or ErrFailed.
func KindOf(err error) error {
	var k *compute.Kind
	switch {
	case errors.As(err, &k):
		return k
	case errors.Is(err, context.DeadlineExceeded):
		return compute.ErrTimeout
	}
	return compute.ErrFailed
}

// Message returns an error's text for records and events, as compute.Error's method of this name
// does; "": there is no error.
func Message(err error) string {
	if err == nil {
		return ""
	}
	return (&compute.Error{Err: err}).Message()
}

// Reworded is an error with other words than its cause, which it keeps.
func Reworded(words string, cause error) error { return &reworded{words, cause} }

type reworded struct {
	words string
	cause error
}

func (r *reworded) Error() string { return r.words }

func (r *reworded) Unwrap() error { return r.cause }
