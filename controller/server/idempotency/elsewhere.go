package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/store"
)

// againEvery is how often to check what another controller's request came to.
const againEvery = 50 * time.Millisecond

// answerPatience is how long a controller may take to record an answer after it gave the leases.
const answerPatience = time.Minute

// The first and the longest pause between checks whether another controller has served a request
// that waits here.
const (
	elsewhereSoon = 100 * time.Millisecond
	elsewhereOft  = 5 * time.Second
)

// Take has the engine serve a request for leases. If another controller has given leases to the
// same key, they are the result: the client asks here because that controller's answer did not
// reach it.
func (o *Once) Take(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	common, ok := o.Store.(Shared)
	if !ok {
		return o.Engine().Acquire(ctx, req)
	}
	for {
		leases, err := o.unlessGiven(ctx, common, req)
		if !errors.Is(err, store.ErrGiven) {
			return leases, err
		}
		if leases, err = o.givenElsewhere(ctx, common, req); err != nil || len(leases) > 0 {
			return leases, err
		}
	}
}

// unlessGiven has the engine serve a request, and stops when another controller has served it.
// There may be capacity for one of the two only, so this one would wait in vain.
func (o *Once) unlessGiven(ctx context.Context, common Shared, req compute.Request) ([]compute.Lease, error) {
	mark, _, _ := KeyOf(compute.Lease{Labels: req.Labels})
	if mark == "" {
		return o.Engine().Acquire(ctx, req)
	}
	asking, stop := context.WithCancelCause(ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer stop(nil)
	looking.Go(func() {
		for pause := elsewhereSoon; ; pause = min(2*pause, elsewhereOft) {
			select {
			case <-asking.Done():
				return
			case <-time.After(pause):
			}
			if leases, by, err := common.Given(asking, mark); err == nil && len(leases) > 0 && by != GivenHere {
				stop(store.ErrGiven)
				return
			}
		}
	})
	leases, err := o.Engine().Acquire(asking, req)
	if given := context.Cause(asking); err != nil && errors.Is(given, store.ErrGiven) {
		return nil, given
	}
	return leases, err
}

// givenElsewhere waits until the outcome of another controller's request is known. No leases: it
// gave none, or they have ended.
func (o *Once) givenElsewhere(ctx context.Context, common Shared, req compute.Request) ([]compute.Lease, error) {
	mark, digest, _ := KeyOf(compute.Lease{Labels: req.Labels})
	key, _ := ctx.Value(keyKey{}).(string)
	for {
		leases, by, err := common.Given(ctx, mark)
		if err != nil || len(leases) == 0 {
			return nil, err
		}
		if _, other, _ := KeyOf(leases[0]); other != digest {
			return nil, &compute.Error{Kind: compute.ErrConflict, Err: errors.New("another request had this " + api.KeyHeader)}
		}
		told := !slices.ContainsFunc(leases, func(l compute.Lease) bool { return l.Worker != 0 })
		if told && (by == GivenByDead || time.Since(leases[0].Given) > answerPatience) {
			slices.SortFunc(leases, func(a, b compute.Lease) int { return strings.Compare(string(a.Instance), string(b.Instance)) })
			return leases, nil
		}
		// While that controller lives, it may find that its client has gone and take the leases
		// back. After it has answered, it does not.
		a, err := o.Store.Answer(ctx, request.Caller(ctx).Name, key)
		if err == nil && a.Digest == digest {
			return answeredLeases(leases, a), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(againEvery):
		}
	}
}

// answeredLeases returns those of the leases that an answer names.
func answeredLeases(leases []compute.Lease, a store.Answer) []compute.Lease {
	var doc api.Acquired
	if json.Unmarshal(a.Body, &doc) != nil {
		return leases
	}
	named := map[string]bool{doc.Lease.ID: true}
	for _, l := range doc.Leases {
		named[l.ID] = true
	}
	return slices.DeleteFunc(leases, func(l compute.Lease) bool { return !named[l.ID] })
}
