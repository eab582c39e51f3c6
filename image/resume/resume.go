// Package resume is a transport for HTTP whose answers outlive their connection.
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

// Transport is a transport whose answers outlive their connection: where one breaks off, or nothing
// comes for a while, the rest is asked for anew. What comes is checked by its digest, so that no
// wrong piece is taken for the right one.
type Transport struct {
	Inner http.RoundTripper
	Stall time.Duration // how long nothing may come
	Tries int           // in a row without a byte
}

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

// resumedBody is the body of an answer, of one connection after another.
type resumedBody struct {
	t      *Transport
	req    *http.Request
	body   io.ReadCloser
	cancel context.CancelFunc // of the connection that there is
	timer  *time.Timer        // that calls it
	at     int64
	size   int64 // -1: not known
	whole  bool  // it knows no ranges
	failed int
	err    error
}

// ask sends the request for what follows at.
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

// again makes another connection after one that ended with err, which it returns when that is not
// to be.
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
		// it knows no ranges: what was read already comes again
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

// watched reads the connection that there is, and gives it up when nothing comes.
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

// Close ends it.
func (b *resumedBody) Close() error {
	b.timer.Stop()
	b.cancel()
	return b.body.Close()
}
