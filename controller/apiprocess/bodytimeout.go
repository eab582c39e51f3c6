package apiprocess

import (
	"io"
	"math"
	"net/http"
	"time"
)

// bodyTime is how long the first byte of a body may take.
const bodyTime = 5 * time.Second

// bodyRates are how many bytes of a body come in a second at least, beyond bodyTime, until so many
// have come. The more has come, the faster it has to be: else a few slow ones hold for hours what
// there is for large ones.
var bodyRates = []struct{ until, rate int64 }{{32 << 10, 1 << 10}, {1 << 20, 16 << 10}, {math.MaxInt64, 64 << 10}}

// timeOfBody is how long a body may take to the piece that follows so many bytes.
func timeOfBody(n int64) time.Duration {
	out, from := bodyTime, int64(0)
	for _, r := range bodyRates {
		out += time.Duration((min(n, r.until)-from)/r.rate) * time.Second
		if from = r.until; n <= from {
			break
		}
	}
	return out
}

// LimitBodyTime serves requests whose bodies may be large, and cuts off one that does not come:
// it has bodyTime, and then to be as fast as bodyRates says.
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
	_ = b.flow.SetReadDeadline(b.begun.Add(timeOfBody(b.n)))
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
