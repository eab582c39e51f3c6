package compute

import (
	"errors"
	"fmt"
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
	ErrFailed      = &Kind{name: "failed"}               // 1
	ErrUnavailable = &Kind{name: "unavailable"}          // 1: try again later
	ErrInvalid     = &Kind{name: "invalid"}              // 2: usage, configuration
	ErrNoCapacity  = &Kind{name: "no capacity"}          // 3
	ErrTimeout     = &Kind{name: "timed out"}            // 4
	ErrNotFound    = &Kind{name: "not found"}            // 5
	ErrConflict    = &Kind{name: "conflict"}             // 6
	ErrDenied      = &Kind{name: "permission denied"}    // 7
	ErrNotLeased   = &Kind{"not acquired", ErrConflict}  // no lease, or it has ended
	ErrStale       = &Kind{"stale", ErrConflict}         // the generation has moved on
	ErrGiven       = &Kind{"given already", ErrConflict} // to this request, by another controller
	ErrNotReady    = &Kind{"not ready", ErrUnavailable}  // made, but cannot be reached yet
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

// Said returns an error's text for records and events, which people read. It leaves out the names
// of packages and calls, such as "kubernetes.Connect". A plain word for what was done, such as
// "connect", stays.
func Said(err error) string {
	switch e := err.(type) {
	case nil:
		return ""
	case *Error:
		op := e.Op
		if strings.Contains(op, ".") {
			op = ""
		}
		return e.text(op, Said)
	case interface{ Unwrap() error }:
		return saidWithin(err, e.Unwrap())
	case interface{ Unwrap() []error }:
		return saidWithin(err, e.Unwrap()...)
	}
	return err.Error()
}

// saidWithin is Said for an error that wraps others.
func saidWithin(err error, inside ...error) string {
	text := err.Error()
	for _, i := range inside {
		if i != nil && i.Error() != "" {
			text = strings.Replace(text, i.Error(), Said(i), 1)
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

// KeyError says what is wrong with a key of a source. The reader of the file that has the key can
// add where. Its text is its cause's, which names the key.
type KeyError struct {
	Key string // as it is written in a source.conf
	Err error
}

// Error returns the cause's text.
func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// WrongKey returns an ErrInvalid about a key. The hint may be empty. The text is formatted as by
// fmt.Errorf, and should begin with the key.
func WrongKey(key, hint, format string, args ...any) error {
	return &Error{Kind: ErrInvalid, Err: &KeyError{Key: key, Err: fmt.Errorf(format, args...)}, Hint: hint}
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

// asking says whether a Create that failed may have begun to make something.
type asking struct {
	error
	asked bool
}

func (a *asking) Unwrap() error { return a.error }

// Unasked marks an error of Create that came before the provider's place was asked for anything. So
// nothing was made, and there is nothing to destroy.
func Unasked(err error) error { return &asking{err, false} }

// Asked removes that mark, for a caller that knows of an earlier call.
func Asked(err error) error { return &asking{err, true} }

// WasUnasked reports whether an error of Create says that nothing was made.
func WasUnasked(err error) bool {
	var a *asking
	return errors.As(err, &a) && !a.asked
}

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
