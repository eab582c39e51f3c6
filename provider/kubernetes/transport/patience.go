// Package transport is between the Kubernetes library and its connections.
package transport

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Patience bounds how often the library asks again where connections end without an answer, as
// behind something that takes them for an API server that is away. It would do so for ten seconds
// in each request, and take a watch for one that has nothing to tell then, as if all were well. A
// moment without an answer is passed over still.
type Patience struct {
	To http.RoundTripper

	mu sync.Mutex
	// that there is no answer: begun and ended the first request, and the last; zero: there was one
	since, last time.Time
}

const (
	patient = 2 * time.Second // so long it may last until the library hears of it
	// so long after the last one without an answer the next is a new beginning
	another = 10 * time.Second
)

func (p *Patience) WrappedRoundTripper() http.RoundTripper { return p.To }

func (p *Patience) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	out, err := p.To.RoundTrip(r)
	// the library's own words for what it tries again
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
	// Not the error itself, and not its words: by these the library would know it again.
	if utilnet.IsTimeout(err) {
		return out, fmt.Errorf("no answer for %v", lasts.Round(time.Second))
	}
	return out, errNoAnswer
}

var errNoAnswer = errors.New("connections are closed without an answer")
