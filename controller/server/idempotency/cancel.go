package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/store"
)

// GiveUp ends the caller's request with a key, if it is still being served, and gives back what it
// was given. The controller cannot tell a client that hung up during the answer from one that has
// read it.
func (o *Once) GiveUp(ctx context.Context, key string) error {
	if o.Store == nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("this controller keeps no keys of requests")}
	}
	owner, key := request.Caller(ctx).Name, keyWithin(request.Caller(ctx), key)
	end := o.flights.giveUp(owner, key)
	if end == nil {
		return nil // the goroutine that serves it gives the leases back
	}
	defer end()
	return o.giveBackAll(ctx, owner, key)
}

// giveBackAll gives back what a request was given, and refuses the same request from now on.
func (o *Once) giveBackAll(ctx context.Context, owner, key string) error {
	leases, err := o.givenTo(ctx, owner, key)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	o.GiveBack(ctx, leases)
	// the digest is empty, so it matches no request
	o.Store.Remember(store.Answer{Owner: owner, Key: key, Time: time.Now(), Status: http.StatusConflict, Body: []byte{}})
	return nil
}

// givenTo returns the living leases that a request was given. compute.ErrNotFound: it has not been
// answered.
func (o *Once) givenTo(ctx context.Context, owner, key string) ([]compute.Lease, error) {
	mark := digestOf(owner, key)
	if common, ok := o.Store.(Shared); ok {
		leases, _, err := common.Given(ctx, mark)
		// their worker still makes these, and ends them itself
		leases = slices.DeleteFunc(leases, func(l compute.Lease) bool { return l.Worker != 0 })
		if err != nil || len(leases) > 0 {
			return leases, err
		}
	}
	a, err := o.Store.Answer(ctx, owner, key)
	switch {
	case err == nil:
		return o.living(ctx, a, mark)
	case !errors.Is(err, compute.ErrNotFound):
		return nil, err
	}
	leases, err := o.given.find(ctx, o.Engine(), mark)
	if err == nil && len(leases) == 0 {
		err = &compute.Error{Kind: compute.ErrNotFound}
	}
	return leases, err
}

// living returns the living leases that an answer names and that were given to the request of a
// mark. Answers of other operations name leases too.
func (o *Once) living(ctx context.Context, a store.Answer, mark string) (out []compute.Lease, err error) {
	var doc api.Acquired
	if len(a.Body) == 0 || json.Unmarshal(a.Body, &doc) != nil {
		return nil, nil
	}
	told := doc.Leases
	if len(told) == 0 {
		told = []api.Lease{doc.Lease}
	}
	for _, l := range told {
		if l.ID == "" {
			continue
		}
		all, err := o.Engine().Leases(ctx, inventory.LeaseQuery{Instance: compute.ID(l.Instance)})
		if err != nil {
			return nil, err
		}
		for _, now := range all {
			if is, _, _ := strings.Cut(now.Labels[api.KeyLabel], " "); now.ID == l.ID && is == mark {
				out = append(out, now)
			}
		}
	}
	return out, nil
}

// GiveBack releases leases that did not reach the client.
func (o *Once) GiveBack(ctx context.Context, leases []compute.Lease) {
	ctx = context.WithoutCancel(ctx)
	for _, l := range leases {
		if err := o.Engine().Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance); err != nil {
			o.Errors.LogOf(ctx).Warn("a lease that nobody took is not given back", "lease", l.ID, "err", err)
		}
	}
	o.Ring()
}
