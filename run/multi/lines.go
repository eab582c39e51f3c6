package multi

import (
	"bytes"
	"io"
	"sync"
)

// longest is how long a line may be: longer ones become several.
const longest = 64 << 10

// printFunc prints a line that a part wrote to "stdout" or "stderr", without its end.
type printFunc func(p *Part, stream string, line []byte) error

// lines puts what several commands write together, line by line.
type lines struct {
	print printFunc
	mu    sync.Mutex // one line at a time
}

// lineWriter is one stream of one command.
type lineWriter struct {
	of     *lines
	part   *Part
	stream string
	rest   []byte // of a line that has not ended
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return AddLines(&w.rest, p, w.line)
}

// end writes the line that has not ended.
func (w *lineWriter) end() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	if len(w.rest) > 0 {
		_ = w.line() // a reader that has gone has been told of before
	}
}

// line writes what is there as a line. The lock is held.
func (w *lineWriter) line() error {
	line := w.rest
	w.rest = w.rest[:0]
	return w.of.print(w.part, w.stream, line)
}

var _ io.Writer = (*lineWriter)(nil)

// AddLines adds to what there is of a line, and has each line written that has ended, or that is
// too long: rest is it then.
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
