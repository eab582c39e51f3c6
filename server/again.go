package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// againEvery is how often it is looked what became of a request that another controller serves.
const againEvery = 50 * time.Millisecond

// answerPatience is how long a controller may take to keep what it has answered, after it gave leases.
const answerPatience = time.Minute

// take has the engine serve a request for leases. One with a key that another controller serves, or served and did not say so before it died, gets what that
// has given: its client asks here because it had no answer there.
func (s *server) take(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	for {
		leases, err := s.Engine().Acquire(ctx, req)
		common, ok := s.Memory.(Common)
		if !ok || !errors.Is(err, compute.ErrGiven) {
			return leases, err
		}
		if leases, err = s.givenElsewhere(ctx, common, req); err != nil || len(leases) > 0 {
			return leases, err
		}
	}
}

// givenElsewhere waits until it is known what another controller's request came to; none: to nothing, or to what has ended.
func (s *server) givenElsewhere(ctx context.Context, common Common, req compute.Request) ([]compute.Lease, error) {
	mark, digest, _ := KeyOf(compute.Lease{Labels: req.Labels})
	key, _ := ctx.Value(keyKey{}).(string)
	for {
		leases, lives, err := common.Given(ctx, mark)
		if err != nil || len(leases) == 0 {
			return nil, err
		}
		if _, other, _ := KeyOf(leases[0]); other != digest {
			return nil, &compute.Error{Kind: compute.ErrConflict, Err: errors.New("another request had this " + api.KeyHeader)}
		}
		told := !slices.ContainsFunc(leases, func(l compute.Lease) bool { return l.Worker != 0 })
		if told && (!lives || time.Since(leases[0].Given) > answerPatience) {
			slices.SortFunc(leases, func(a, b compute.Lease) int { return strings.Compare(string(a.Instance), string(b.Instance)) })
			return leases, nil
		}
		// As long as it lives it may find that its client has gone, and take them back; once it has answered, it does not.
		a, err := s.Memory.Answer(ctx, asker(ctx).Name, key)
		if err == nil && a.Digest == digest {
			return s.answeredLeases(leases, a), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(againEvery):
		}
	}
}

// answeredLeases are those of some leases that an answer names.
func (s *server) answeredLeases(leases []compute.Lease, a compute.Answer) []compute.Lease {
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
