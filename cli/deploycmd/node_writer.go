package deploycmd

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/cli/term"
)

// nodeWriter splits a node's output into lines. It is safe for concurrent use.
type nodeWriter struct {
	show   *shown
	prefix string
	quiet  bool

	mu   sync.Mutex
	part []byte
	log  *bufio.Writer
	file *os.File
	err  error
}

// say writes a line of hostler's.
func (w *nodeWriter) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	w.part = append(w.part, "* "+text+"\n"...)
	w.flush()
}

// maxPart is the length at which a line is split.
const maxPart = 8 << 10

// Write passes on whole lines, and keeps the rest of the last one. Longer ones than maxPart are
// split.
func (w *nodeWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		i := strings.IndexByte(string(rest[:min(len(rest), maxPart)]), '\n')
		n := i + 1
		if i < 0 {
			n = min(len(rest), maxPart-len(w.part))
		}
		w.part = append(w.part, rest[:n]...)
		rest = rest[n:]
		if i >= 0 || len(w.part) >= maxPart {
			w.flush()
		}
	}
	return len(p), nil
}

// flush prints the unfinished line. The caller holds mu.
func (w *nodeWriter) flush() {
	if len(w.part) == 0 {
		return
	}
	line := w.show.mask(strings.TrimSuffix(string(w.part), "\n")) + "\n"
	w.part = w.part[:0]
	if _, err := io.WriteString(w.log, line); err != nil && w.err == nil {
		w.err = err
	}
	if w.quiet {
		return
	}
	w.show.mu.Lock()
	defer w.show.mu.Unlock()
	out, end := term.Displayed(w.show.app.Err)
	_, _ = io.WriteString(out, w.prefix+line) // a reader that has gone does not end the work
	_ = end()
}

// Close writes what is left.
func (w *nodeWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return errors.Join(w.err, w.log.Flush(), w.file.Close())
}
