// Package redact keeps secrets out of what is written down. A Writer hands on what it gets with
// each of the values that it was told replaced by "***", also where a value comes in pieces. It
// holds back no more than could be the beginning of one, so that what follows it lags by less than
// the longest value, and Close hands on the rest.
//
// It finds the values as they are, each long line of one that has several, and these with the line
// ends of a terminal. It does not find them encoded or in parts: a program that prints half of a
// password tells it.
package redact

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Mark stands where a secret was.
const Mark = "***"

// leastLine is how long a line of a value with several is at least, to be looked for alone: shorter
// ones are no secrets.
const leastLine = 8

// Writer replaces secrets in what it hands on. It is used by one goroutine at a time.
type Writer struct {
	to      io.Writer
	secrets [][]byte
	begins  [256]bool // a secret begins with this byte
	longest int
	held    []byte // not handed on yet: it may be a secret's beginning
	masked  int    // so much of held is of a secret that Mark was written for
	err     error
}

// NewWriter returns a Writer that hands on to w. Empty secrets are none.
func NewWriter(w io.Writer, secrets []string) *Writer {
	out := &Writer{to: w}
	for _, s := range values(secrets) {
		out.secrets = append(out.secrets, []byte(s))
		out.begins[s[0]] = true
		out.longest = max(out.longest, len(s))
	}
	return out
}

// values lists what to look for, the longest first.
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

// Write hands p on, but for what may be the beginning of a secret.
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

// Close hands on what was held back. It does not close what it writes to.
func (w *Writer) Close() error {
	w.pass(true)
	return w.err
}

// pass hands on what is decided; last: all of it is.
func (w *Writer) pass(last bool) {
	buf, i, end := w.held, 0, w.masked // buf[:end] is covered by a Mark that was written
	plain := end                       // what is from here to i is to be handed on
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
			if i >= end { // else it overlaps the one before, and both are one
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

// match returns how long the longest secret is that b begins with, and whether b is too short to
// tell.
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
	_, _ = w.Write([]byte(text)) // a Builder takes all
	_ = w.Close()
	return b.String()
}
