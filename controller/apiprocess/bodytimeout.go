package apiprocess

import (
	"io"
	"net/http"
	"time"
)

// bodyTime is how long the first byte of a body may take.
const bodyTime = 5 * time.Second

// minBodyRate is how many bytes of a body come in a second at least, beyond bodyTime.
const minBodyRate = 1 << 10

// LimitBodyTime serves requests whose bodies may be large, and cuts off one that does not come:
// it has bodyTime, and a second for each KiB that has come.
func LimitBodyTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &timedBody{ReadCloser: r.Body, flow: http.NewResponseController(w), begun: time.Now()}
			b.wait() // also for a body that nobody reads, which net/http reads at the end
			with := *r
			with.Body = b
			r = &with
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	flow  *http.ResponseController
	begun time.Time
	n     int64
	asked bool
}

// wait says until when the next piece is to be here.
func (b *timedBody) wait() {
	// a writer that has none is a test's
	_ = b.flow.SetReadDeadline(b.begun.Add(bodyTime + time.Duration(b.n/minBodyRate)*time.Second))
}

// Read reads what has come. At the end the deadline goes: what is waited for then is the answer.
func (b *timedBody) Read(p []byte) (int, error) {
	if !b.asked {
		b.asked, b.begun = true, time.Now()
		b.wait()
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	switch err {
	case nil:
		b.wait()
	case io.EOF:
		_ = b.flow.SetReadDeadline(time.Time{})
	}
	return n, err
}
