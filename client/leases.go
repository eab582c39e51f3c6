package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// Acquire asks for leases. req.Notify is called with the progress while the request waits. When ctx
// ends, the request is cancelled and what it was given is given back.
func (c *Client) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	if req.Count == 0 { // nothing is asked for, but the source must exist
		return nil, c.wire.do(ctx, http.MethodGet, "/v1/sources/"+url.PathEscape(req.Source), nil, nil, nil)
	}
	var out api.Acquired
	var asked string
	err := c.wire.retry(ctx, func(key string) error { asked = key; return c.ask(ctx, req, key, &out) })
	if err != nil && ctx.Err() != nil {
		c.cancelRequest(ctx, asked)
	}
	if err != nil {
		return nil, err
	}
	return leasesOf(&out), nil
}

// AcquireOnce is Acquire with a key of the caller's choice. The same request with the same key gets
// the same leases, even ended ones, until a day after their end. ErrConflict: a different request
// had the key. If ctx ends, leases may have been given all the same; the same request then returns
// them.
func (c *Client) AcquireOnce(ctx context.Context, key string, req compute.Request) ([]compute.Lease, error) {
	var out api.Acquired
	if err := c.wire.retryAs(ctx, key, func(key string) error { return c.ask(ctx, req, key, &out) }); err != nil {
		return nil, err
	}
	return leasesOf(&out), nil
}

// leasesOf returns the leases in an answer.
func leasesOf(out *api.Acquired) []compute.Lease {
	leases := make([]compute.Lease, len(out.Leases))
	for i, l := range out.Leases {
		leases[i] = l.Compute()
	}
	return leases
}

// giveUpPatience is how long a cancelled request may take. If it fails, the leases end by their own
// limits.
const giveUpPatience = 5 * time.Second

// cancelRequest gives back what a request may have been given while ctx ended.
func (c *Client) cancelRequest(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpPatience)
	defer cancel()
	_ = c.GiveUp(ctx, key) // a controller that has gone cannot be told
}

// GiveUp cancels the caller's request with a key. What it was given is given back, and the same
// request is a conflict from now on.
func (c *Client) GiveUp(ctx context.Context, key string) error {
	return c.wire.do(ctx, http.MethodDelete, "/v1/requests/"+url.PathEscape(key), nil, nil, nil)
}

// ask sends a request for leases once. The answer is a document, or a stream of events that ends
// with the result.
func (c *Client) ask(ctx context.Context, req compute.Request, key string, out *api.Acquired) error {
	r, err := c.wire.request(ctx, http.MethodPost, "/v1/leases", nil, api.NewAcquireRequest(req))
	if err != nil {
		return err
	}
	r.Header.Set(api.KeyHeader, key)
	if req.Notify != nil {
		r.Header.Set("Accept", "application/json, "+api.EventStream)
	}
	answer, err := c.wire.http.Do(r)
	if err != nil {
		return c.wire.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return refusal(answer)
	}
	if !isStream(answer) {
		return c.wire.read(ctx, answer, out)
	}
	for e, err := range events(answer.Body) {
		switch {
		case err != nil:
			return c.wire.unreachable(ctx, err)
		case e.name == api.EventProgress:
			var p api.Progress
			if json.Unmarshal(e.data, &p) == nil {
				req.Notify(p.Compute())
			}
		case e.name == api.EventAcquired:
			if err := json.Unmarshal(e.data, out); err != nil {
				return c.wire.unreachable(ctx, fmt.Errorf("its answer: %w", err))
			}
			return nil
		case e.name == api.EventProblem:
			return problem(e.data)
		}
	}
	return c.wire.unreachable(ctx, io.ErrUnexpectedEOF)
}

// Release gives instances back. All names must be valid, or nothing changes.
func (c *Client) Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error {
	if len(names) == 0 {
		return nil
	}
	return c.wire.do(ctx, http.MethodPost, "/v1/release", onBehalf(who), api.NewReleaseRequest(opt, names...), nil)
}

// Extend extends leases one after another. After an error, those before it are extended.
func (c *Client) Extend(ctx context.Context, who compute.Who, ttl time.Duration, names ...compute.ID) ([]compute.Lease, error) {
	out := make([]compute.Lease, 0, len(names))
	for _, n := range names {
		var l api.Lease
		path := "/v1/leases/" + url.PathEscape(string(n)) + "/extend"
		if err := c.wire.create(ctx, path, onBehalf(who), api.NewExtendRequest(ttl), &l); err != nil {
			return out, err
		}
		out = append(out, l.Compute())
	}
	return out, nil
}

// Use tells the controller that an instance is in use under who's lease.
func (c *Client) Use(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error) {
	var l api.Lease
	err := c.wire.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(string(name))+"/use", onBehalf(who), nil, &l)
	return l.Compute(), err
}
