package hook

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
)

// ScriptError is the failure of one script.
type ScriptError struct {
	Path    string        // the script's file
	Name    string        // directory and name: "provision.d/10-packages"
	Exit    compute.Exit  // how it ended, if it did so by itself
	Timeout time.Duration // when it was killed; 0: it was not killed for its time
	// the last lines of its output, at most 2 KiB, joined by " / ", without control characters
	Tail string
	// why it could not be started, or the context's error that ended it; nil: neither
	Err error
}

// Error returns the script, how it ended and the last of its output, in one line.
func (e *ScriptError) Error() string {
	var how string
	switch {
	case e.Timeout > 0:
		how = fmt.Sprintf("killed after %v", e.Timeout)
	case e.Err != nil:
		how = e.Err.Error()
	case e.Exit.Signal != "":
		how = "ended by signal " + e.Exit.Signal
	default:
		how = fmt.Sprintf("exit status %d", e.Exit.Code)
	}
	s := e.Name + ": " + how
	if e.Tail != "" {
		s += ": " + e.Tail
	}
	return s
}

// Unwrap returns the cause, or compute.ErrTimeout if the script's time was up.
func (e *ScriptError) Unwrap() error {
	if e.Timeout > 0 {
		return compute.ErrTimeout
	}
	return e.Err
}

// Failures are the failed scripts of one Run, in order.
type Failures []*ScriptError

// Error joins the errors in one line.
func (f Failures) Error() string {
	var parts []string
	for _, e := range f {
		parts = append(parts, e.Error())
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns all errors.
func (f Failures) Unwrap() []error {
	out := make([]error, len(f))
	for i, e := range f {
		out[i] = e
	}
	return out
}

// asError returns the failures as one error, or nil if there are none.
func (f Failures) asError(instance compute.ID) error {
	if len(f) == 0 {
		return nil
	}
	e := &compute.Error{ID: instance, Kind: compute.ErrFailed, Err: f}
	if len(f) == 1 && errors.Is(f[0], compute.ErrTimeout) {
		e.Kind = compute.ErrTimeout
	}
	return e
}

// tail keeps the last bytes written to it.
type tail struct{ buf []byte }

const tailSize = 2 << 10

// Write keeps the last tailSize bytes. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	if len(p) >= tailSize {
		t.buf = append(t.buf[:0], p[len(p)-tailSize:]...)
		return len(p), nil
	}
	if over := len(t.buf) + len(p) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	t.buf = append(t.buf, p...)
	return len(p), nil
}

// String returns the last five lines as one.
func (t *tail) String() string {
	clean := func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}
	var lines []string
	for l := range strings.Lines(strings.ToValidUTF8(string(t.buf), "")) {
		if l = strings.TrimSpace(strings.Map(clean, l)); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-5):], " / ")
}
