package server

import (
	"net/http"
	"time"
)

// timely cuts off whoever does not take his answer: each piece of it has writeTime to go out. A
// deadline for the whole would be too short for who waits in the queue, and too long for who reads
// nothing.
func timely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &timelyWriter{w, http.NewResponseController(w)}
		if r.ProtoMajor == 1 {
			// that of the answer before, on the same connection
			_ = out.flow.SetWriteDeadline(time.Time{})
		}
		// for what is in buffers
		defer func() { _ = out.flow.SetWriteDeadline(time.Now().Add(writeTime)) }()
		next.ServeHTTP(out, r)
	})
}

type timelyWriter struct {
	http.ResponseWriter
	flow *http.ResponseController
}

const (
	timelyPiece = 64 << 10 // bytes
	// bytes that only go to a buffer; a stream, which has a deadline of its own, flushes it
	timelySmall = 2 << 10
)

// Write writes in pieces.
func (w *timelyWriter) Write(b []byte) (n int, err error) {
	if len(b) < timelySmall {
		return w.ResponseWriter.Write(b)
	}
	for n < len(b) && err == nil {
		_ = w.flow.SetWriteDeadline(time.Now().Add(writeTime))
		var k int
		k, err = w.ResponseWriter.Write(b[n:min(n+timelyPiece, len(b))])
		n += k
	}
	// HTTP/2 ends a stream whose deadline passes, whether something is being written or not
	_ = w.flow.SetWriteDeadline(time.Time{})
	return n, err
}

// Unwrap lets http.ResponseController find what the writer can.
func (w *timelyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
