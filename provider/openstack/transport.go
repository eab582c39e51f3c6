package openstack

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/observe/trace"
)

// transport sends all of a session's requests. It keeps to a rate at each endpoint, obeys
// Retry-After, limits the time of each try, and repeats what may be repeated.
type transport struct {
	base    http.RoundTripper
	rate    rate.Limit
	burst   int
	timeout time.Duration
	retries int
	maxWait time.Duration
	backoff time.Duration

	mu        sync.Mutex
	endpoints map[string]*endpoint
}

// endpoint is one host of the cloud.
type endpoint struct {
	limiter *rate.Limiter

	mu    sync.Mutex
	quiet time.Time // it asked for silence until then
}

// newTransport fills in the defaults: 20 requests a second, one minute for a try and for a wait,
// and 4 retries. A negative number of retries is none.
func newTransport(o SessionOptions) *transport {
	t := &transport{
		base: o.Base, rate: rate.Limit(cmp.Or(o.Rate, 20)), burst: o.Burst, timeout: cmp.Or(o.Timeout, time.Minute),
		retries: max(cmp.Or(o.Retries, 4), 0), maxWait: cmp.Or(o.MaxWait, time.Minute),
		backoff: cmp.Or(o.Backoff, 500*time.Millisecond), endpoints: map[string]*endpoint{},
	}
	if t.burst == 0 {
		t.burst = max(int(t.rate), 1)
	}
	return t
}

// endpoint returns the state of a host, and makes it at the first request.
func (t *transport) endpoint(host string) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.endpoints[host]
	if e == nil {
		e = &endpoint{limiter: rate.NewLimiter(t.rate, t.burst)}
		t.endpoints[host] = e
	}
	return e
}

// wait waits until the endpoint may be called.
func (e *endpoint) wait(ctx context.Context) error {
	for {
		e.mu.Lock()
		until := time.Until(e.quiet)
		e.mu.Unlock()
		if until <= 0 {
			break
		}
		if err := sleep(ctx, until); err != nil {
			return err
		}
	}
	return e.limiter.Wait(ctx)
}

// sleep waits for d, or until ctx ends: then it returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := trace.StartKind(req.Context(), trace.Client, "openstack "+req.Method, trace.Attr{Key: "url.path", Value: req.URL.Path})
	resp, tries, err := t.try(ctx, req)
	if tries > 1 {
		span.Set(trace.Attr{Key: "tries", Value: strconv.Itoa(tries)})
	}
	if resp != nil {
		span.Set(trace.Attr{Key: "http.response.status_code", Value: strconv.Itoa(resp.StatusCode)})
	}
	span.End(err)
	return resp, err
}

// try repeats a request while that is safe. It returns the number of tries.
func (t *transport) try(ctx context.Context, req *http.Request) (*http.Response, int, error) {
	e := t.endpoint(req.URL.Host)
	for n := 1; ; n++ {
		if err := e.wait(ctx); err != nil {
			return nil, n, err
		}
		resp, err := t.once(ctx, req, n)
		if ctx.Err() != nil || n > t.retries || !again(req, resp, err) {
			return resp, n, err
		}
		pause := time.Duration(float64(t.backoff<<(n-1)) * (0.5 + rand.Float64())) //nolint:gosec // jitter
		if asked, ok := retryAfter(resp); ok && asked > 0 {
			if asked > t.maxWait {
				return resp, n, err
			}
			pause = asked
			e.mu.Lock()
			if until := time.Now().Add(asked); until.After(e.quiet) {
				e.quiet = until
			}
			e.mu.Unlock()
		}
		if resp != nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
			resp.Body.Close()
		}
		if err := sleep(ctx, min(pause, t.maxWait)); err != nil {
			return nil, n, err
		}
	}
}

// errSlow says that a cloud did not answer a request in time.
var errSlow = errors.New("no answer within the time that a request has")

// once sends a request. Its time limit includes the body of the answer.
func (t *transport) once(ctx context.Context, req *http.Request, n int) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, errSlow)
	r := req.Clone(ctx)
	if n > 1 && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			cancel()
			return nil, err
		}
		r.Body = body
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSlow) && req.Context().Err() == nil {
			err = errSlow
		}
		cancel()
		return nil, err
	}
	resp.Body = &bodyUntil{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, left: largestAnswer}
	return resp, nil
}

// largestAnswer is the most bytes of an answer that are read. A list of all servers of a large
// cloud is far smaller.
const largestAnswer = 256 << 20

var errLarge = errors.New("its answer has more than 256 MiB")

// bodyUntil is the body of an answer, with a limit of time and bytes.
type bodyUntil struct {
	io.ReadCloser
	ctx    context.Context
	cancel func()
	left   int64
}

// Read returns errLarge past the limit of bytes, and errSlow past the limit of time.
func (b *bodyUntil) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errLarge
	}
	if err != nil && err != io.EOF && errors.Is(context.Cause(b.ctx), errSlow) {
		err = errSlow
	}
	return n, err
}

func (b *bodyUntil) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// again reports whether a request may be repeated. One that makes something may only if the cloud
// surely did nothing.
func again(req *http.Request, resp *http.Response, err error) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	harmless := req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodPut ||
		req.Method == http.MethodDelete
	if err != nil {
		var op *net.OpError
		return harmless || errors.As(err, &op) && op.Op == "dial"
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusRequestEntityTooLarge:
		// some services limit rates by this; their quota errors say "Retry-After: 0"
		asked, ok := retryAfter(resp)
		return ok && asked > 0
	case http.StatusServiceUnavailable:
		_, said := retryAfter(resp)
		return harmless || said
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return harmless
	}
	return false
}

// retryAfter reads the header in both its forms.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp == nil {
		return 0, false
	}
	h := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(h, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(h); err == nil {
		return max(time.Until(at), 0), true
	}
	return 0, false
}
