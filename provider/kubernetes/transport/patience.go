// Package transport wraps the connections of the Kubernetes client library.
package transport

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Patience limits how long the library retries while connections end without an answer, as they do
// behind a proxy whose API server is down. By itself the library retries for ten seconds in each
// request. It would then take a failed watch for a silent one. A short gap without answers is still
// passed over.
type Patience struct {
	To http.RoundTripper

	mu sync.Mutex
	// the first unanswered request's start, and the last one's end; since is zero after an answer
	since, last time.Time
}

const (
	patient = 2 * time.Second // so long the gap may last until the library gets an error
	// a gap so long after the last unanswered request counts as a new one
	another = 10 * time.Second
)

func (p *Patience) WrappedRoundTripper() http.RoundTripper { return p.To }

// RoundTrip passes on an error that the library retries, until such errors have lasted longer
// than patient. Then the error has other words, and the library gives up.
func (p *Patience) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	out, err := p.To.RoundTrip(r)
	// these are the errors that the library retries
	passes := utilnet.IsProbableEOF(err) || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) || utilnet.IsTimeout(err)
	if err != nil && (!passes || r.Context().Err() != nil) {
		return out, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.since = time.Time{}
		return out, nil
	}
	if p.since.IsZero() || begun.Sub(p.last) > another {
		p.since = begun
	}
	p.last = time.Now()
	lasts := p.last.Sub(p.since)
	if lasts <= patient {
		return out, err
	}
	// A new error with new words: the library would recognise the old ones and retry.
	if utilnet.IsTimeout(err) {
		return out, fmt.Errorf("no answer for %v", lasts.Round(time.Second))
	}
	return out, errNoAnswer
}

var errNoAnswer = errors.New("connections are closed without an answer")
