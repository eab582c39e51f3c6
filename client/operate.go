package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Fill brings sources up to what they want, once. No names: all sources. It returns the names of
// new instances.
func (c *Client) Fill(ctx context.Context, names ...string) ([]compute.ID, error) {
	var out struct {
		Made []string `json:"made"`
	}
	query := url.Values{}
	if len(names) > 0 {
		query.Set("source", strings.Join(names, ",")) // a repeated parameter would not count
	}
	err := c.wire.create(ctx, "/v1/fill", query, nil, &out)
	made := make([]compute.ID, len(out.Made))
	for i, n := range out.Made {
		made[i] = compute.ID(n)
	}
	return made, err
}

// Hold keeps instances aside for a person to look at.
func (c *Client) Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error {
	in := api.HoldRequest{Reason: reason, Names: make([]string, len(names))}
	for i, n := range names {
		in.Names[i] = string(n)
	}
	return c.wire.do(ctx, http.MethodPost, "/v1/hold", onBehalf(who), in, nil)
}

// Reload has the controller read its configuration again, and returns which sources are broken.
// After an error the previous configuration stays in force.
func (c *Client) Reload(ctx context.Context) (out api.Reloaded, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/reload", nil, nil, &out)
	return out, err
}

// Work has the controller do what is due now: end leases, clean, discard.
func (c *Client) Work(ctx context.Context) error {
	return c.wire.do(ctx, http.MethodPost, "/v1/work", nil, nil, nil)
}

// Test makes an instance of a source, runs `true` on it and discards it, and times each step.
func (c *Client) Test(ctx context.Context, name string) (inventory.TestResult, error) {
	var out api.TestResult
	err := c.wire.create(ctx, "/v1/sources/"+url.PathEscape(name)+"/test", nil, nil, &out)
	return out.Compute(), err
}
