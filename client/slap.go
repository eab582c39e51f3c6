package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hostler-project/hostler/api"
)

// SlapOS asks the SlapOS master that a controller is.
type SlapOS struct{ wire *wire }

// SlapOS returns them.
func (c *Client) SlapOS() SlapOS { return SlapOS{c.wire} }

// Computers returns a page of the computers of the controller's SlapOS master: those with a
// text in reference or title.
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

// Usage returns what was reported of the use of a computer, or of one of its partitions.
func (c SlapOS) Usage(ctx context.Context, computer, of string) (out api.SlapUsage, err error) {
	query := url.Values{}
	set(query, "of", of)
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/computers/"+url.PathEscape(computer)+"/usage", query, nil, &out)
	return out, err
}

// Instances returns a page of the instances that are asked for.
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

// AllInstances are all of the instances that are asked for, page by page. It ends with the
// first error.
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

// Instance returns an instance with what it was asked for with.
func (c SlapOS) Instance(ctx context.Context, id string) (out api.SlapInstanceDetail, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/instances/"+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// Connection returns what an instance tells who asked for it, which may be secret.
func (c SlapOS) Connection(ctx context.Context, id string) (out api.SlapConnection, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/instances/"+url.PathEscape(id)+"/connection", nil, nil, &out)
	return out, err
}

// Software returns what a software release says of itself.
func (c SlapOS) Software(ctx context.Context, release string) (out api.SlapSoftware, err error) {
	err = c.wire.do(ctx, http.MethodGet, "/v1/slap/software", url.Values{"release": {release}}, nil, &out)
	return out, err
}

// Request asks for an instance tree. The same again changes nothing; where there is no place,
// the answer has the reason.
func (c SlapOS) Request(ctx context.Context, q api.SlapRequest) (out api.SlapInstanceDetail, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/slap/instances", nil, q, &out)
	return out, err
}

// Change changes an instance tree.
func (c SlapOS) Change(ctx context.Context, id string, change api.SlapChange) (out api.SlapInstanceDetail, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/slap/instances/"+url.PathEscape(id), nil, change, &out)
	return out, err
}

// Supply wants a software release on a computer, or wants it away.
func (c SlapOS) Supply(ctx context.Context, computer string, q api.SlapSupply) error {
	return c.wire.do(ctx, http.MethodPost, "/v1/slap/computers/"+url.PathEscape(computer)+"/supply", nil, q, nil)
}

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
