package compute

import (
	"errors"
	"strings"
)

// A Kind says what sort of thing went wrong. Each top kind has one exit status and one HTTP status;
// a finer kind is also its parent.
type Kind struct {
	name   string
	parent *Kind
}

// Error returns the kind's name.
func (k *Kind) Error() string { return k.name }

// Unwrap makes errors.Is find the parent of a finer kind.
func (k *Kind) Unwrap() error {
	if k.parent == nil {
		return nil
	}
	return k.parent
}

// The kinds of error. The comments name the exit status of each.
var (
	ErrFailed      = &Kind{name: "failed"}              // 1
	ErrUnavailable = &Kind{name: "unavailable"}         // 1: try again later
	ErrInvalid     = &Kind{name: "invalid"}             // 2: usage, configuration
	ErrNoCapacity  = &Kind{name: "no capacity"}         // 3
	ErrTimeout     = &Kind{name: "timed out"}           // 4
	ErrNotFound    = &Kind{name: "not found"}           // 5
	ErrConflict    = &Kind{name: "conflict"}            // 6
	ErrDenied      = &Kind{name: "permission denied"}   // 7
	ErrNotLeased   = &Kind{"not acquired", ErrConflict} // no lease, or it has ended
	ErrStale       = &Kind{"stale", ErrConflict}        // the generation has moved on
	ErrNotReady    = &Kind{"not ready", ErrUnavailable} // made, but cannot be reached yet
	// not made yet, as there is no room for it: it waits for room
	ErrNoPlace = &Kind{"not ready", ErrNotReady}
	// more than there can ever be, so waiting does not help
	ErrTooLarge = &Kind{"no capacity", ErrNoCapacity}
)

// The ways in which a command can fail before it has an exit status of its own, or without one.
var (
	ErrLost          = &Kind{"contact lost", ErrUnavailable}      // run exits with 121
	ErrCannotStart   = &Kind{"cannot start", ErrFailed}           // 125
	ErrNotExecutable = &Kind{"not executable", ErrCannotStart}    // 126
	ErrNoCommand     = &Kind{"command not found", ErrCannotStart} // 127
)

// Error is a failed operation: what was done, to which thing, the kind, the cause, and what to do
// about it.
type Error struct {
	Op   string // the room and the verb, "ssh.Connect"; may be empty
	ID   ID     // the instance, or the name of the source; may be empty
	Kind error  // one of the kinds above
	Err  error  // the cause; may be nil
	Hint string // what the user may do, a sentence without a full stop; may be empty
}

// Error returns "op: id: kind: cause". It leaves out empty parts, and parts that the cause repeats.
// The hint is not part of it.
func (e *Error) Error() string { return e.text(e.Op, error.Error) }

// text returns the text of e, with of as the text of its cause.
func (e *Error) text(op string, of func(error) string) string {
	id, kind := string(e.ID), ""
	if e.Kind != nil {
		kind = e.Kind.Error()
	}
	cause := ""
	if e.Err != nil {
		cause = of(e.Err)
		var inner *Error
		if errors.As(e.Err, &inner) && inner.ID == e.ID {
			id = ""
		}
		if strings.HasPrefix(cause, kind) || inner != nil && errors.Is(inner, e.Kind) {
			kind = ""
		}
	}
	var parts []string
	for _, s := range []string{op, id, kind, cause} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Message returns the error's text for records and events, which people read. It leaves out the
// names of packages and calls, such as "kubernetes.Connect". A plain word for what was done, such
// as "connect", stays.
func (e *Error) Message() string {
	op := e.Op
	if strings.Contains(op, ".") {
		op = ""
	}
	return e.text(op, message)
}

// message is Message for any error.
func message(err error) string {
	switch e := err.(type) {
	case *Error:
		return e.Message()
	case interface{ Unwrap() error }:
		return messageWithin(err, e.Unwrap())
	case interface{ Unwrap() []error }:
		return messageWithin(err, e.Unwrap()...)
	}
	return err.Error()
}

// messageWithin is message for an error that wraps others.
func messageWithin(err error, inside ...error) string {
	text := err.Error()
	for _, i := range inside {
		if i != nil && i.Error() != "" {
			text = strings.Replace(text, i.Error(), message(i), 1)
		}
	}
	return text
}

// Unwrap lets errors.Is and errors.As see the kind and the cause.
func (e *Error) Unwrap() []error {
	var out []error
	if e.Kind != nil {
		out = append(out, e.Kind)
	}
	if e.Err != nil {
		out = append(out, e.Err)
	}
	return out
}

// ErrEnded marks errors, whatever their kind: the computer itself has ended, and nothing of it
// comes back.
var ErrEnded = errors.New("the computer has ended")

// ended is an error with that mark.
type ended struct{ error }

func (e *ended) Is(target error) bool { return target == ErrEnded }
func (e *ended) Unwrap() error        { return e.error }

// Ended marks err as the end of the computer itself, so that errors.Is finds ErrEnded. The text
// stays.
func Ended(err error) error { return &ended{err} }

// Hint returns the first hint found in err's tree, or "".
func Hint(err error) string {
	var e *Error
	for err != nil && errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
