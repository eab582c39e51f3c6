package stream

import (
	"net/http"
	"time"
)

// Timely cuts off a client that does not read its answer: each piece must be sent within WriteTime.
// A deadline for the whole answer would be too short for a request that waits in the queue.
func Timely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &timelyWriter{w, http.NewResponseController(w)}
		if r.ProtoMajor == 1 {
			// the deadline of the last answer on this connection
			_ = out.flow.SetWriteDeadline(time.Time{})
		}
		// for what is still buffered
		defer func() { _ = out.flow.SetWriteDeadline(time.Now().Add(WriteTime)) }()
		next.ServeHTTP(out, r)
	})
}

type timelyWriter struct {
	http.ResponseWriter
	flow *http.ResponseController
}

const (
	timelyPiece = 64 << 10 // bytes
	// smaller writes only reach a buffer; a stream flushes it with a deadline of its own
	timelySmall = 2 << 10
)

// Write writes in pieces, each with a deadline.
func (w *timelyWriter) Write(b []byte) (n int, err error) {
	if len(b) < timelySmall {
		return w.ResponseWriter.Write(b)
	}
	for n < len(b) && err == nil {
		_ = w.flow.SetWriteDeadline(time.Now().Add(WriteTime))
		var k int
		k, err = w.ResponseWriter.Write(b[n:min(n+timelyPiece, len(b))])
		n += k
	}
	// HTTP/2 ends a stream whose deadline passes even if nothing is being written
	_ = w.flow.SetWriteDeadline(time.Time{})
	return n, err
}

// FlushError flushes what is buffered, with a deadline.
func (w *timelyWriter) FlushError() error {
	_ = w.flow.SetWriteDeadline(time.Now().Add(WriteTime))
	err := w.flow.Flush()
	_ = w.flow.SetWriteDeadline(time.Time{})
	return err
}

// Unwrap lets http.ResponseController find the abilities of the writer.
func (w *timelyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
