package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hostler-project/hostler/api"
)

// Applied reads and changes the configuration that is applied to a controller.
type Applied struct{ wire *wire }

// Applied returns the client of applied configuration.
func (c *Client) Applied() Applied { return Applied{c.wire} }

// List returns the things that have all of the labels, without files.
func (c Applied) List(ctx context.Context, labels map[string]string) (out api.AppliedSet, err error) {
	q := url.Values{}
	for key, value := range labels {
		q.Add("label", key+"="+value)
	}
	err = c.wire.do(ctx, http.MethodGet, "/v1/applied", q, nil, &out)
	return out, err
}

// Get returns one applied thing, with its files. A missing one is compute.ErrNotFound.
func (c Applied) Get(ctx context.Context, kind, name string) (out api.AppliedThing, err error) {
	err = c.wire.do(ctx, http.MethodGet, thing(kind, name), nil, nil, &out)
	return out, err
}

// Apply makes the applied things as a set says. All change, or none and there is an error.
func (c Applied) Apply(ctx context.Context, set api.ApplySet) (out api.ApplyAnswer, err error) {
	if set.Things == nil {
		set.Things = []api.WantedThing{}
	}
	err = c.wire.do(ctx, http.MethodPut, "/v1/applied", nil, set, &out)
	return out, err
}

// Put changes one thing. revision: only if it is at that revision; 0: any.
func (c Applied) Put(ctx context.Context, kind, name string, put api.PutThing, revision int64) (out api.AppliedThing, err error) {
	err = c.wire.doIf(ctx, revision, http.MethodPut, thing(kind, name), put, &out)
	return out, err
}

// Delete removes one thing. revision: only if it is at that revision; 0: any.
func (c Applied) Delete(ctx context.Context, kind, name string, revision int64) error {
	return c.wire.doIf(ctx, revision, http.MethodDelete, thing(kind, name), nil, nil)
}

func thing(kind, name string) string {
	return "/v1/applied/" + url.PathEscape(kind) + "/" + url.PathEscape(name)
}

// doIf is do with the revision that the thing must be at; 0: any.
func (w *wire) doIf(ctx context.Context, revision int64, method, path string, in, out any) error {
	r, err := w.request(ctx, method, path, nil, in)
	if err != nil {
		return err
	}
	if revision != 0 {
		r.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(revision, 10)))
	}
	return w.send(ctx, r, out)
}
