package idempotency

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/store"
)

// recorder passes an answer on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	failed bool     // part of it was not sent, or it is too long
	hidden []string // secrets in the answer, not to be stored
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b)
	r.failed = r.failed || err != nil || r.body.Len()+n > maxAnswer
	if !r.failed {
		r.body.Write(b[:n])
	}
	return n, err
}

// SetReadDeadline does nothing. The body has been read, and a deadline would end the request when
// it passes.
func (r *recorder) SetReadDeadline(time.Time) error { return nil }

// Unwrap lets http.ResponseController find the abilities of the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer returns the answer if it succeeded and was sent whole. For a stream it is the last event.
func (r *recorder) answer() (store.Answer, bool) {
	a := store.Answer{Status: r.status, Type: r.Header().Get("Content-Type"), Body: r.body.Bytes()}
	for _, secret := range r.hidden {
		a.Body = bytes.ReplaceAll(a.Body, []byte(secret), nil)
	}
	if a.Type == api.EventStream {
		text := bytes.TrimSuffix(a.Body, []byte("\n\n"))
		last := text[bytes.LastIndex(text, []byte("\n\n"))+1:]
		data, ok := bytes.CutPrefix(bytes.TrimSpace(last), []byte("event: "+api.EventAcquired+"\ndata: "))
		return store.Answer{Status: http.StatusCreated, Type: "application/json", Body: data}, ok && !r.failed
	}
	return a, a.Status/100 == 2 && !r.failed
}

// Hide keeps a secret in the answer to a request out of what is stored of it.
func Hide(ctx context.Context, secret string) {
	if rec, ok := ctx.Value(recorderKey{}).(*recorder); ok {
		rec.hidden = append(rec.hidden, secret)
	}
}

// held is an answer that is not sent yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// SetReadDeadline does nothing, as for a recorder.
func (h *held) SetReadDeadline(time.Time) error { return nil }
