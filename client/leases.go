package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// Acquire asks for leases. How it goes on (compute.Request.Notify) is not told.
func (c *Client) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	var out api.Acquired
	if err := c.do(ctx, http.MethodPost, "/v1/leases", nil, api.NewAcquireRequest(req), &out); err != nil {
		return nil, err
	}
	leases := make([]compute.Lease, len(out.Leases))
	for i, l := range out.Leases {
		leases[i] = l.Compute()
	}
	return leases, nil
}

// Release gives back what the leases of instances gave: all names are good or nothing changes.
func (c *Client) Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error {
	if len(names) == 0 {
		return nil
	}
	in := api.ReleaseRequest{Names: make([]string, len(names)), Force: opt.Force, Discard: opt.Discard}
	for i, n := range names {
		in.Names[i] = string(n)
	}
	return c.do(ctx, http.MethodPost, "/v1/release", as(who), in, nil)
}

// Extend renews leases, one after the other: after an error those before it are renewed.
func (c *Client) Extend(ctx context.Context, who compute.Who, ttl time.Duration, names ...compute.ID) ([]compute.Lease, error) {
	out := make([]compute.Lease, 0, len(names))
	for _, n := range names {
		var l api.Lease
		if err := c.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(string(n))+"/extend", as(who), api.NewExtendRequest(ttl), &l); err != nil {
			return out, err
		}
		out = append(out, l.Compute())
	}
	return out, nil
}

// Use says that an instance is used now under who's lease.
func (c *Client) Use(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error) {
	var l api.Lease
	err := c.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(string(name))+"/use", as(who), nil, &l)
	return l.Compute(), err
}
