package run

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// outputStream is one of our streams for a command's output. It remembers the first failed
// write; the connection only stops reading then, as when the reader has gone.
type outputStream struct {
	to   io.Writer
	also io.Writer // the record, which never fails; nil: none
	name string
	mu   sync.Mutex
	err  error
}

// Write writes p to both writers. The first error of the main one is kept, and errors of the
// other are ignored.
func (w *outputStream) Write(p []byte) (int, error) {
	if w.also != nil {
		_, _ = w.also.Write(p)
	}
	n, err := w.to.Write(p)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = err
		}
	}
	return n, err
}

// writeError is the error for output that could not be written; nil if there is none. A reader
// that has gone is no error.
func (w *outputStream) writeError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil || errors.Is(w.err, syscall.EPIPE) {
		return nil
	}
	err := w.err
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &compute.Error{
		Kind: compute.ErrFailed,
		Err:  errors.New("what the command wrote to " + w.name + " is lost from some point on: " + err.Error()),
	}
}
