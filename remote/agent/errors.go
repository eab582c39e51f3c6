package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/hostler-project/hostler/compute"
)

// kinds are the kinds of error by their names on the wire, a finer kind before its parent.
var kinds = [...]*compute.Kind{
	compute.ErrNoCommand, compute.ErrNotExecutable, compute.ErrCannotStart, compute.ErrLost, compute.ErrNotLeased, compute.ErrStale,
	compute.ErrNotReady, compute.ErrUnavailable, compute.ErrInvalid, compute.ErrNoCapacity, compute.ErrTimeout, compute.ErrNotFound,
	compute.ErrConflict, compute.ErrDenied, compute.ErrFailed,
}

// marks are further errors that callers test for with errors.Is. Their places are the protocol:
// append only.
var marks = [...]error{
	context.Canceled, context.DeadlineExceeded, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, io.ErrUnexpectedEOF, io.ErrClosedPipe,
	compute.ErrEnded,
}

// maxDepth is how many nested errors are carried as such; deeper ones become text.
const maxDepth = 8

// plainError is an error of the other side that was no compute.Error: its text, and the errors that
// errors.Is finds in it.
type plainError struct {
	text string
	is   []error
}

func (e *plainError) Error() string   { return e.text }
func (e *plainError) Unwrap() []error { return e.is }

func kindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	return ""
}

func kindNamed(name string) *compute.Kind {
	for _, k := range kinds {
		if k.Error() == name {
			return k
		}
	}
	return nil
}

// appendError encodes an error: 0 for none, 1 for a compute.Error with its cause, 2 for any other,
// with its kinds and marks beside its text.
func appendError(b []byte, err error, depth int) []byte {
	if err == nil {
		return append(b, 0)
	}
	if e, ok := err.(*compute.Error); ok && e != nil && depth < maxDepth {
		b = append(b, 1)
		b = appendString(b, e.Op)
		b = appendString(b, string(e.ID))
		kind := ""
		if e.Kind != nil {
			if kind = kindOf(e.Kind); kind == "" {
				kind = compute.ErrFailed.Error()
			}
		}
		b = appendString(b, kind)
		b = appendString(b, e.Hint)
		return appendError(b, e.Err, depth+1)
	}
	b = append(b, 2)
	text := err.Error()
	if len(text) > maxControl/4 {
		text = text[:maxControl/4]
	}
	b = appendString(b, text)
	b = appendString(b, kindOf(err))
	b = appendString(b, compute.Hint(err))
	var bits uint64
	for i, m := range marks {
		if errors.Is(err, m) {
			bits |= 1 << i
		}
	}
	return appendUint(b, bits)
}

// error is the reverse of appendError.
func (d *decoder) error(depth int) error {
	switch d.int(2) {
	case 1:
		if depth > maxDepth {
			d.b, d.bad = nil, true
			return nil
		}
		e := &compute.Error{Op: d.string(), ID: compute.ID(d.string())}
		if name := d.string(); name != "" {
			e.Kind = compute.ErrFailed // this side does not know the kind
			if k := kindNamed(name); k != nil {
				e.Kind = k
			}
		}
		e.Hint = d.string()
		e.Err = d.error(depth + 1)
		return e
	case 2:
		text, name, hint := d.string(), d.string(), d.string()
		kind := kindNamed(name)
		bits := d.uint()
		if kind != nil && text == kind.Error() && hint == "" {
			return kind
		}
		e := &plainError{text: text}
		if kind != nil {
			e.is = append(e.is, kind)
		}
		for i, m := range marks {
			if bits&(1<<i) != 0 {
				if text == m.Error() && kind == nil {
					return m
				}
				e.is = append(e.is, m)
			}
		}
		if hint != "" {
			e.is = append(e.is, &compute.Error{Hint: hint})
		}
		return e
	}
	return nil
}

// AppendError encodes an error, or nil, so that DecodeError gives it back with its text, kind,
// operation, instance and hint.
func AppendError(b []byte, err error) []byte { return appendError(b, err, 0) }

// DecodeError is the reverse of AppendError. A malformed body becomes an error of kind ErrLost.
func DecodeError(b []byte) error {
	d := &decoder{b: b}
	err := d.error(0)
	if !d.end() {
		return protocolError("an error that is not well formed")
	}
	return err
}
