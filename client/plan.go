package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/api"
)

// Plan returns what the controller would make, start, stop and discard now for these sources or
// all, and what it did lately. It changes nothing.
func (c *Client) Plan(ctx context.Context, sources ...string) (api.Plans, error) {
	var out api.Plans
	err := c.wire.do(ctx, http.MethodGet, "/v1/plan", withSources(sources, url.Values{"fresh": {"true"}}), nil, &out)
	return out, err
}

// History returns how these sources, or all, were used: the last hour by the minute, or the last
// day by the quarter of an hour.
func (c *Client) History(ctx context.Context, day bool, sources ...string) (api.History, error) {
	span := "hour"
	if day {
		span = "day"
	}
	var out api.History
	err := c.wire.do(ctx, http.MethodGet, "/v1/history", withSources(sources, url.Values{"span": {span}}), nil, &out)
	return out, err
}

// withSources adds the names of sources to a query, if there are any.
func withSources(sources []string, query url.Values) url.Values {
	if len(sources) > 0 {
		query.Set("source", strings.Join(sources, ","))
	}
	return query
}
