package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hostler-project/hostler/api"
)

// SlapOS is the client of a controller's SlapOS master.
type SlapOS struct{ wire *wire }

// SlapOS returns the client of the SlapOS master.
func (c *Client) SlapOS() SlapOS { return SlapOS{c.wire} }

// Computers returns a page of the computers whose reference or title contains match.
func (c SlapOS) Computers(ctx context.Context, match string, page api.SlapPage) (out api.SlapComputerPage, err error) {
	query := slapPage(page)
	set(query, "match", match)
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/computers", query, nil, &out)
	return out, err
}

// Computer returns a computer with its partitions and releases.
func (c SlapOS) Computer(ctx context.Context, name string) (out api.SlapComputerDetail, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/computers/"+url.PathEscape(name), nil, nil, &out)
	return out, err
}

// Usage returns the reported use of a computer, or of one of its partitions.
func (c SlapOS) Usage(ctx context.Context, computer, of string) (out api.SlapUsage, err error) {
	query := url.Values{}
	set(query, "of", of)
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/computers/"+url.PathEscape(computer)+"/usage", query, nil, &out)
	return out, err
}

// Instances returns a page of the instances of a query.
func (c SlapOS) Instances(ctx context.Context, q api.SlapQuery, page api.SlapPage) (out api.SlapInstancePage, err error) {
	query := slapPage(page)
	if q.Roots {
		query.Set("roots", "true")
	}
	for name, text := range map[string]string{"root": q.Root, "host": q.Host, "state": q.State, "match": q.Match} {
		set(query, name, text)
	}
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/instances", query, nil, &out)
	return out, err
}

// AllInstances iterates over all instances of a query, page by page. It ends at the first error.
func (c SlapOS) AllInstances(ctx context.Context, q api.SlapQuery) iter.Seq2[api.SlapInstance, error] {
	return func(yield func(api.SlapInstance, error) bool) {
		page := api.SlapPage{Limit: 1000}
		for {
			part, err := c.Instances(ctx, q, page)
			if err != nil {
				yield(api.SlapInstance{}, err)
				return
			}
			for _, n := range part.Instances {
				if !yield(n, nil) {
					return
				}
			}
			if page.After = part.Next; page.After == "" {
				return
			}
		}
	}
}

// Instance returns an instance with the parameters of its request.
func (c SlapOS) Instance(ctx context.Context, id string) (out api.SlapInstanceDetail, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/instances/"+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// Connection returns an instance's connection parameters, which may be secret.
func (c SlapOS) Connection(ctx context.Context, id string) (out api.SlapConnection, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/instances/"+url.PathEscape(id)+"/connection", nil, nil, &out)
	return out, err
}

// Software returns what a software release says about itself.
func (c SlapOS) Software(ctx context.Context, release string) (out api.SlapSoftware, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/software", url.Values{"release": {release}}, nil, &out)
	return out, err
}

// Request asks for an instance tree. A repeated request changes nothing. If there is no place for
// it, the answer has the reason.
func (c SlapOS) Request(ctx context.Context, q api.SlapRequest) (out api.SlapInstanceDetail, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/slap/instances", nil, q, &out)
	return out, err
}

// Change changes an instance tree.
func (c SlapOS) Change(ctx context.Context, id string, change api.SlapChange) (out api.SlapInstanceDetail, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/slap/instances/"+url.PathEscape(id), nil, change, &out)
	return out, err
}

// Supply asks for a software release on a computer, or for its removal.
func (c SlapOS) Supply(ctx context.Context, computer string, q api.SlapSupply) error {
	return c.wire.do(ctx, http.MethodPost, "/v1/slap/computers/"+url.PathEscape(computer)+"/supply", nil, q, nil)
}

// slapPage returns the query of a page.
func slapPage(page api.SlapPage) url.Values {
	query := url.Values{}
	set(query, "after", page.After)
	if page.Limit > 0 {
		query.Set("limit", strconv.Itoa(page.Limit))
	}
	return query
}

func set(query url.Values, name, text string) {
	if text != "" {
		query.Set(name, text)
	}
}
