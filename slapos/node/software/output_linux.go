package software

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/api"
)

const (
	longestLine = 4 << 10  // bytes; a longer one is shown in pieces
	tailSize    = 64 << 10 // bytes of output that an error carries
)

// An output is what a program writes: each line is shown as it comes, and the end of it all is
// kept.
type output struct {
	log  func(string) // may be nil
	line []byte
	tail []byte
	lost int64 // bytes that were written before the tail
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	o.tail = append(o.tail, p[max(0, len(p)-2*tailSize):]...)
	o.lost += int64(max(0, len(p)-2*tailSize))
	if over := len(o.tail) - 2*tailSize; over > 0 {
		over += tailSize // not at each write
		o.lost += int64(over)
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
	for rest := p; o.log != nil && len(rest) > 0; {
		piece, after, whole := bytes.Cut(rest, []byte("\n"))
		if n := longestLine - len(o.line); len(piece) >= n {
			piece, after, whole = rest[:n], rest[n:], true
		}
		o.line, rest = append(o.line, piece...), after
		if whole {
			o.show()
		}
	}
	return len(p), nil
}

// end shows what came without an end of line.
func (o *output) end() {
	if len(o.line) > 0 {
		o.show()
	}
}

func (o *output) show() {
	if o.log != nil {
		o.log(strings.ToValidUTF8(strings.TrimRight(string(o.line), "\r"), "\uFFFD"))
	}
	o.line = o.line[:0]
}

// text is the end of the output, from a line's beginning, and how much is missing before it.
func (o *output) text() string {
	tail, lost := o.tail, o.lost
	if over := len(tail) - tailSize; over > 0 {
		tail, lost = tail[over:], lost+int64(over)
	}
	if lost == 0 {
		return strings.ToValidUTF8(string(tail), "\uFFFD")
	}
	if i := bytes.IndexByte(tail, '\n'); i >= 0 && i < longestLine {
		tail, lost = tail[i+1:], lost+int64(i)+1
	}
	return fmt.Sprintf("(%d bytes before this are left out)\n", lost) + strings.ToValidUTF8(string(tail), "\uFFFD")
}

// A failure is that a program could not build a release, with its output for the master.
type failure struct {
	Dir    string // of the release
	What   string // that ran: "buildout profile"
	Output string // the end of what it wrote
	Err    error
}

// Error is the message and the output.
func (f *failure) Error() string {
	return fmt.Sprintf("Failed to run %s in directory '%s':\n%s", f.What, f.Dir, f.Output)
}

// Unwrap is how the program ended.
func (f *failure) Unwrap() error { return f.Err }

// Brief is an error in a line, in the words for people: of a *failure without the output, which
// was shown as it came.
func Brief(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return fmt.Sprintf("Failed to run %s in directory '%s': %v", f.What, f.Dir, f.Err)
	}
	return api.Text(err)
}
