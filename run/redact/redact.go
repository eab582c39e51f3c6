// Package redact removes secrets from output. A Writer replaces each given value by "***", also
// where a value comes in several writes. It holds back only bytes that may be the beginning of a
// value, so the output lags by less than the longest one, and Close writes the rest.
//
//	w := redact.NewWriter(os.Stdout, []string{"hunter2"})
//	fmt.Fprintln(w, "password: hunter2") // password: ***
//	err := w.Close()
//
// It finds the values as they are, each long line of a value with several lines, and both with the
// line ends of a terminal. It does not find encoded values or parts of them: half of a password
// passes.
package redact

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Mark replaces a secret.
const Mark = "***"

// leastLine is the least length of a line that is looked for alone, of a value with several lines.
// Shorter lines are no secrets.
const leastLine = 8

// Writer replaces secrets in its output. Only one goroutine at a time may use it.
type Writer struct {
	to      io.Writer
	secrets [][]byte
	begins  [256]bool // a secret begins with this byte
	longest int
	held    []byte // not written yet: it may be the beginning of a secret
	masked  int    // bytes of held whose Mark is written already
	err     error
}

// NewWriter returns a Writer to w. It ignores empty secrets.
func NewWriter(w io.Writer, secrets []string) *Writer {
	out := &Writer{to: w}
	for _, s := range values(secrets) {
		out.secrets = append(out.secrets, []byte(s))
		out.begins[s[0]] = true
		out.longest = max(out.longest, len(s))
	}
	return out
}

// values returns the texts to look for, the longest first.
func values(secrets []string) (out []string) {
	for _, s := range secrets {
		lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
		if len(lines) > 1 {
			out = append(out, s, strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n"))
			lines = slices.DeleteFunc(lines, func(l string) bool { return len(strings.TrimSpace(l)) < leastLine })
		}
		out = append(out, lines...)
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(slices.DeleteFunc(out, func(s string) bool { return s == "" }))
}

// Write writes p without secrets, and holds back a possible beginning of one.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if len(w.secrets) == 0 {
		return w.to.Write(p)
	}
	w.held = append(w.held, p...)
	w.pass(false)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close writes what was held back. It does not close the underlying writer.
func (w *Writer) Close() error {
	w.pass(true)
	return w.err
}

// pass writes the bytes that are decided; last: all of them are.
func (w *Writer) pass(last bool) {
	buf, i, end := w.held, 0, w.masked // buf[:end] is covered by a Mark that was written
	plain := end                       // bytes from here to i are to be written
	for i < len(buf) {
		if !w.begins[buf[i]] {
			i++
			continue
		}
		n, open := w.match(buf[i:])
		if open && !last {
			break
		}
		if n > 0 {
			if i >= end { // else it overlaps the last one: one Mark for both
				w.write(buf[min(plain, i):i])
				w.write([]byte(Mark))
			}
			end = max(end, i+n)
			plain = end
		}
		i++
	}
	if plain < i {
		w.write(buf[plain:i])
	}
	w.held, w.masked = append(buf[:0], buf[i:]...), max(0, end-i)
	if last {
		w.held, w.masked = nil, 0
	}
}

// match returns the length of the longest secret at the beginning of b, and whether b is too short
// to decide.
func (w *Writer) match(b []byte) (n int, open bool) {
	for _, s := range w.secrets {
		switch {
		case len(b) < len(s):
			open = open || bytes.HasPrefix(s, b)
		case n == 0 && bytes.HasPrefix(b, s):
			n = len(s)
		}
	}
	return n, open
}

func (w *Writer) write(p []byte) {
	if w.err == nil && len(p) > 0 {
		_, w.err = w.to.Write(p)
	}
}

// String returns text without the secrets.
func String(text string, secrets []string) string {
	var b strings.Builder
	w := NewWriter(&b, secrets)
	_, _ = w.Write([]byte(text)) // a Builder never fails
	_ = w.Close()
	return b.String()
}
