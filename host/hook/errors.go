package hook

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
)

// ScriptError is a script that did not end well.
type ScriptError struct {
	Path    string        // the script's file
	Name    string        // its directory's base name and its own: "provision.d/10-packages"
	Exit    compute.Exit  // how it ended, when it did by itself
	Timeout time.Duration // it was killed after so long; 0: it was not that
	// the last lines of its output, at most 2 KiB, without control characters; lines joined by " /
	// "
	Tail string
	// why it could not be started, or the context's error that ended it; nil: see the fields above
	Err error
}

// Error names the script, says how it ended and shows the last of its output, in one line.
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

// Unwrap returns the cause, and compute.ErrTimeout when the script's time was up.
func (e *ScriptError) Unwrap() error {
	if e.Timeout > 0 {
		return compute.ErrTimeout
	}
	return e.Err
}

// Failures are the scripts of one Run that did not end well, in their order.
type Failures []*ScriptError

// Error joins the errors in one line.
func (f Failures) Error() string {
	var parts []string
	for _, e := range f {
		parts = append(parts, e.Error())
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns all of them.
func (f Failures) Unwrap() []error {
	out := make([]error, len(f))
	for i, e := range f {
		out[i] = e
	}
	return out
}

// asError returns nil when all is well.
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

// tail keeps the last bytes that were written.
type tail struct{ buf []byte }

const tailSize = 2 << 10

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

// String returns the last five lines in one.
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
