package multi

import (
	"bytes"
	"io"
	"sync"
)

// longest is the length at which a line is split.
const longest = 64 << 10

// printFunc prints a line that a part wrote to "stdout" or "stderr", without its end.
type printFunc func(p *Part, stream string, line []byte) error

// lines merges the output of several commands, line by line.
type lines struct {
	print printFunc
	mu    sync.Mutex // for one line at a time
}

// lineWriter is one stream of one command.
type lineWriter struct {
	of     *lines
	part   *Part
	stream string
	rest   []byte // the unfinished line
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return AddLines(&w.rest, p, w.line)
}

// end writes the unfinished line.
func (w *lineWriter) end() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	if len(w.rest) > 0 {
		_ = w.line() // a failed write was reported before
	}
}

// line writes the buffer as a line. The caller holds the lock.
func (w *lineWriter) line() error {
	line := w.rest
	w.rest = w.rest[:0]
	return w.of.print(w.part, w.stream, line)
}

var _ io.Writer = (*lineWriter)(nil)

// AddLines appends p to an unfinished line. It calls write for each line that is complete or too
// long, with that line in rest.
func AddLines(rest *[]byte, p []byte, write func() error) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			*rest = append(*rest, p...)
			if len(*rest) < longest {
				return n, nil
			}
			i, p = 0, []byte{'\n'}
		}
		*rest = append(*rest, p[:i]...)
		p = p[i+1:]
		if err := write(); err != nil {
			return 0, err
		}
	}
	return n, nil
}
