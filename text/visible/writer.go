package visible

import (
	"bytes"
	"io"
	"sync"
	"unicode/utf8"
)

// longestColour is how long a sequence that sets colours may be; longer ones are none.
const longestColour = 64

// Writer shows output on a terminal: colours (SGR sequences), ends of lines and tabs pass, all else
// that cannot be seen is written out.
type Writer struct {
	to io.Writer

	mu       sync.Mutex
	held     []byte // the beginning of a character or of a sequence
	coloured bool
}

// NewWriter returns a Writer that shows on w.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// Write shows p, except an unfinished sequence at its end, which is held back.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	if err := w.show(false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close shows the rest that was held back, and ends the colours. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.show(true)
	if w.coloured && err == nil {
		_, err = io.WriteString(w.to, "\x1b[0m")
	}
	return err
}

// show writes all complete parts; last: no more input comes.
func (w *Writer) show(last bool) error {
	var out bytes.Buffer
	rest := w.held
	for len(rest) > 0 {
		n, as, whole := next(rest)
		if !whole && !last {
			break
		}
		w.coloured = w.coloured || rest[0] == 0x1b && as[0] == 0x1b
		out.WriteString(as)
		rest = rest[n:]
	}
	w.held = append(w.held[:0], rest...)
	_, err := w.to.Write(out.Bytes())
	return err
}

// next takes one character or sequence, and says how it is shown; not whole: it may go on.
func next(b []byte) (n int, as string, whole bool) {
	switch {
	case b[0] == '\n' || b[0] == '\t':
		return 1, string(b[:1]), true
	case b[0] == '\r':
		// as the end of a line it is one, and within a line it would hide what stands before it
		if len(b) > 1 && b[1] == '\n' {
			return 2, "\r\n", true
		}
		return 1, `\r`, len(b) > 1
	case b[0] == 0x1b:
		n, whole := colour(b)
		if n > 0 {
			return n, string(b[:n]), true
		}
		return 1, `\x1b`, whole
	}
	r, n := utf8.DecodeRune(b)
	return n, character(r, string(b[:n])), n > 1 || r != utf8.RuneError || utf8.FullRune(b)
}

// colour is the length of the colour sequence at the begin of b; 0: there is none. decided is false
// if more bytes are needed.
func colour(b []byte) (n int, decided bool) {
	for i, c := range b {
		switch {
		case i == 0 || i == 1 && c == '[' || i > 1 && (c >= '0' && c <= ';'):
		case i > 1 && c == 'm':
			return i + 1, true
		default:
			return 0, true
		}
		if i > longestColour {
			return 0, true
		}
	}
	return 0, false
}
