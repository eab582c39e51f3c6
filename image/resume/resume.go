// Package resume is an HTTP transport whose response bodies survive a broken connection.
package resume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Transport is an http.RoundTripper whose response bodies survive a broken connection. When one
// breaks off, or stalls, it requests the rest. The caller checks the digest, so a wrong rest is
// never taken for the right one.
type Transport struct {
	Inner http.RoundTripper
	Stall time.Duration // how long a body may stall
	Tries int           // failed tries in a row without a byte
}

// RoundTrip covers only a GET without a range. An answer of unknown length is never continued.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.Header.Get("Range") != "" {
		return t.Inner.RoundTrip(req)
	}
	b := &resumedBody{t: t, req: req}
	resp, err := b.ask(0)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 {
		b.size = -1 // nothing to go on with: where it ends is the end
	} else {
		b.size = resp.ContentLength
	}
	resp.Body = b
	return resp, nil
}

// resumedBody is the body of a response, over one connection after another.
type resumedBody struct {
	t      *Transport
	req    *http.Request
	body   io.ReadCloser
	cancel context.CancelFunc // of the current connection
	timer  *time.Timer        // calls cancel
	at     int64
	size   int64 // -1: not known
	whole  bool  // the server knows no ranges
	failed int
	err    error
}

// ask requests the bytes from at on.
func (b *resumedBody) ask(at int64) (*http.Response, error) {
	ctx, cancel := context.WithCancel(b.req.Context())
	timer := time.AfterFunc(b.t.Stall, cancel)
	req := b.req.Clone(ctx)
	if at > 0 && !b.whole {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, b.size-1))
	}
	resp, err := b.t.Inner.RoundTrip(req)
	if stalled := !timer.Stop(); stalled && b.req.Context().Err() == nil {
		if err == nil {
			_ = resp.Body.Close()
		}
		err = errStalled
	}
	if err != nil {
		cancel()
		return nil, err
	}
	b.body, b.cancel, b.timer = resp.Body, cancel, timer
	return resp, nil
}

var errStalled = errors.New("the registry sends nothing")

// Read requests the rest when the body breaks off or stalls. It fails after more than Tries
// failures in a row without a byte.
func (b *resumedBody) Read(p []byte) (int, error) {
	for b.err == nil {
		b.timer.Reset(b.t.Stall)
		n, err := b.body.Read(p)
		stalled := !b.timer.Stop()
		b.at += int64(n)
		if n > 0 {
			b.failed = 0
		}
		switch {
		case err == nil, err == io.EOF && (b.size < 0 || b.at >= b.size):
			return n, err
		case b.req.Context().Err() != nil:
			b.err = b.req.Context().Err()
		default:
			if stalled {
				err = errStalled
			}
			b.err = b.again(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// again opens another connection after one that ended with err. It returns err when that may not
// be.
func (b *resumedBody) again(err error) error {
	if b.size < 0 {
		return err
	}
	for {
		if b.failed++; b.failed > b.t.Tries {
			return err
		}
		b.drop()
		select {
		case <-b.req.Context().Done():
			return b.req.Context().Err()
		case <-time.After(time.Duration(b.failed*b.failed) * 20 * time.Millisecond):
		}
		resp, e := b.ask(b.at)
		if e != nil {
			continue
		}
		if b.at == 0 && resp.StatusCode == http.StatusOK {
			return nil
		}
		if resp.StatusCode == http.StatusPartialContent &&
			strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", b.at)) {
			return nil
		}
		// the server knows no ranges: it sends the bytes already read again
		if resp.StatusCode == http.StatusOK {
			if _, e := io.CopyN(io.Discard, watched{b}, b.at); e == nil {
				return nil
			}
			continue
		}
		if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && !b.whole {
			b.whole = true
			continue
		}
		return fmt.Errorf("%w, and then the registry said %s", err, resp.Status)
	}
}

// watched reads the current connection, and cancels it when it stalls.
type watched struct{ b *resumedBody }

func (w watched) Read(p []byte) (int, error) {
	w.b.timer.Reset(w.b.t.Stall)
	return w.b.body.Read(p)
}

func (b *resumedBody) drop() {
	b.timer.Stop()
	b.cancel()
	_ = b.body.Close()
}

// Close closes the body.
func (b *resumedBody) Close() error {
	b.timer.Stop()
	b.cancel()
	return b.body.Close()
}
