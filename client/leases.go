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

// Acquire asks for leases. Where it has to wait, req.Notify hears how it comes on. When ctx ends
// the request is given up.
func (c *Client) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	if req.Count == 0 { // which asks for nothing, of a source that there is
		return nil, c.wire.do(ctx, http.MethodGet, "/v1/sources/"+url.PathEscape(req.Source), nil, nil, nil)
	}
	var out api.Acquired
	var asked string
	err := c.wire.repeat(ctx, func(key string) error { asked = key; return c.ask(ctx, req, key, &out) })
	if err != nil && ctx.Err() != nil {
		c.giveUp(ctx, asked)
	}
	if err != nil {
		return nil, err
	}
	return leasesOf(&out), nil
}

// AcquireOnce is Acquire with a key of the caller's: the same request with the same key again is
// given the same leases, also when these have ended, until a day after that. ErrConflict: another
// request had the key. One that was ended by its maker may have been given what the same one is
// told then.
func (c *Client) AcquireOnce(ctx context.Context, key string, req compute.Request) ([]compute.Lease, error) {
	var out api.Acquired
	if err := c.wire.repeatAs(ctx, key, func(key string) error { return c.ask(ctx, req, key, &out) }); err != nil {
		return nil, err
	}
	return leasesOf(&out), nil
}

func leasesOf(out *api.Acquired) []compute.Lease {
	leases := make([]compute.Lease, len(out.Leases))
	for i, l := range out.Leases {
		leases[i] = l.Compute()
	}
	return leases
}

// giveUpPatience is how long a request is given up for that was ended by its maker. One that comes
// to no end has its leases end by their own times.
const giveUpPatience = 5 * time.Second

// giveUp has given back what a request may have given whose answer was on its way when ctx ended.
func (c *Client) giveUp(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpPatience)
	defer cancel()
	_ = c.GiveUp(ctx, key) // a controller that has gone tells nobody of anything
}

// GiveUp ends a request of ours that has this key, if it is still being served, and has given back
// what it was given; the same that comes later is a conflict.
func (c *Client) GiveUp(ctx context.Context, key string) error {
	return c.wire.do(ctx, http.MethodDelete, "/v1/requests/"+url.PathEscape(key), nil, nil, nil)
}

// ask makes a request for leases once. The answer is a document at once, or a stream of events that
// ends with it.
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

// Release gives back what the leases of instances gave: all names are good or nothing changes.
func (c *Client) Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error {
	if len(names) == 0 {
		return nil
	}
	return c.wire.do(ctx, http.MethodPost, "/v1/release", as(who), api.NewReleaseRequest(opt, names...), nil)
}

// Extend renews leases, one after the other: after an error those before it are renewed.
func (c *Client) Extend(ctx context.Context, who compute.Who, ttl time.Duration, names ...compute.ID) ([]compute.Lease, error) {
	out := make([]compute.Lease, 0, len(names))
	for _, n := range names {
		var l api.Lease
		path := "/v1/leases/" + url.PathEscape(string(n)) + "/extend"
		if err := c.wire.create(ctx, path, as(who), api.NewExtendRequest(ttl), &l); err != nil {
			return out, err
		}
		out = append(out, l.Compute())
	}
	return out, nil
}

// Use says that an instance is used now under who's lease.
func (c *Client) Use(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error) {
	var l api.Lease
	err := c.wire.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(string(name))+"/use", as(who), nil, &l)
	return l.Compute(), err
}
