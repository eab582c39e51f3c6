package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// pageSize is how many records are requested at a time.
const pageSize = 10000

// Resolve finds an instance by its name, or by the name or id of a living lease. The lease is nil
// if it has none.
func (c *Client) Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	var out api.Instance
	if err := c.wire.do(ctx, http.MethodGet, "/v1/instances/"+url.PathEscape(name), nil, nil, &out); err != nil {
		return compute.Instance{}, nil, err
	}
	i, l := out.Compute()
	return i, l, nil
}

// Leaf returns the real instance behind a pool's. For other instances it is the instance itself.
func (c *Client) Leaf(ctx context.Context, id compute.ID) (compute.Instance, error) {
	var out api.Instance
	err := c.wire.do(ctx, http.MethodGet, "/v1/instances/"+url.PathEscape(string(id))+"/leaf", nil, nil, &out)
	i, _ := out.Compute()
	return i, err
}

// Instances returns the instances of a query. Of the query, the States, Source, Owner, After and
// Limit count; the rest is the engine's own.
func (c *Client) Instances(ctx context.Context, q inventory.InstanceQuery) ([]compute.Instance, error) {
	query := pages(q.After, q.Limit)
	for key, value := range map[string]string{"source": q.Source, "owner": q.Owner} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if len(q.States) > 0 {
		names := make([]string, len(q.States))
		for i, s := range q.States {
			names[i] = string(s)
		}
		query.Set("state", strings.Join(names, ",")) // a repeated parameter would not count
	}
	var all []compute.Instance
	for {
		var out struct {
			Instances []api.Instance `json:"instances"`
			Next      string         `json:"next"`
		}
		if err := c.wire.do(ctx, http.MethodGet, "/v1/instances", query, nil, &out); err != nil {
			return nil, err
		}
		for _, v := range out.Instances {
			i, _ := v.Compute()
			all = append(all, i)
		}
		if out.Next == "" || q.Limit > 0 && len(all) >= q.Limit {
			return all, nil
		}
		query.Set("after", out.Next)
	}
}

// pages returns the query of a list's first page, after a row. A limit makes the pages smaller.
func pages(after int64, limit int) url.Values {
	size := pageSize
	if limit > 0 {
		size = min(limit, pageSize)
	}
	query := url.Values{"limit": {strconv.Itoa(size)}}
	if after > 0 {
		query.Set("after", strconv.FormatInt(after, 10))
	}
	return query
}

// Leases returns the living leases of a query by instance, source, owner or name.
func (c *Client) Leases(ctx context.Context, q inventory.LeaseQuery) ([]compute.Lease, error) {
	query := pages(q.After, q.Limit)
	for key, value := range map[string]string{"owner": q.Owner, "source": q.Source, "instance": string(q.Instance), "name": q.Name} {
		if value != "" {
			query.Set(key, value)
		}
	}
	var all []compute.Lease
	for {
		var out struct {
			Leases []api.Lease `json:"leases"`
			Next   string      `json:"next"`
		}
		if err := c.wire.do(ctx, http.MethodGet, "/v1/leases", query, nil, &out); err != nil {
			return nil, err
		}
		for _, l := range out.Leases {
			all = append(all, l.Compute())
		}
		if out.Next == "" || q.Limit > 0 && len(all) >= q.Limit {
			return all, nil
		}
		query.Set("after", out.Next)
	}
}

// Events returns the events of a query, the oldest first.
func (c *Client) Events(ctx context.Context, q inventory.EventQuery) ([]compute.Event, error) {
	query := url.Values{"limit": {strconv.Itoa(100000)}}
	for key, value := range map[string]string{"source": q.Source, "instance": string(q.Instance), "lease": q.Lease} {
		if value != "" {
			query.Set(key, value)
		}
	}
	most := max(q.Newest, q.Limit)
	if q.After > 0 {
		query.Set("after", strconv.FormatInt(q.After, 10))
	}
	var all []compute.Event
	for {
		if most > 0 {
			query.Set("limit", strconv.Itoa(most-len(all)))
		}
		var out struct {
			Events []compute.Event `json:"events"`
			Next   string          `json:"next"`
		}
		if err := c.wire.do(ctx, http.MethodGet, "/v1/events", query, nil, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Events...)
		if out.Next == "" || most > 0 && len(all) >= most {
			return all, nil
		}
		query.Set("after", out.Next)
	}
}

// Self returns who the caller is to the controller.
func (c *Client) Self(ctx context.Context) (api.Self, error) {
	var out api.Self
	err := c.wire.do(ctx, http.MethodGet, "/v1/self", nil, nil, &out)
	return out, err
}

// Status returns the state of every source, by name.
func (c *Client) Status(ctx context.Context) ([]inventory.SourceStatus, error) {
	var out struct {
		Sources []api.Source `json:"sources"`
	}
	if err := c.wire.do(ctx, http.MethodGet, "/v1/sources", nil, nil, &out); err != nil {
		return nil, err
	}
	all := make([]inventory.SourceStatus, len(out.Sources))
	for i, v := range out.Sources {
		all[i] = v.Compute()
	}
	return all, nil
}
