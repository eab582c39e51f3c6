package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// givingUp adds the route that cancels a request whose answer may be on its way. The controller
// cannot tell a client that hung up during the answer from one that has read it.
func (s *server) givingUp() {
	register(s, huma.Operation{
		OperationID: "give-up", Extensions: needs(auth.Take), Method: http.MethodDelete, Path: "/v1/requests/{key}",
		DefaultStatus: http.StatusNoContent,
		Summary:       "Give up a request for leases", Tags: []string{"leases"}, Errors: []int{400},
		Description: "The caller's request with this " + api.KeyHeader + " ends, if it is still being served, what it was given is given back, and the same that comes later is a conflict. " +
			"It is for who asked, wants it no longer, and does not know whether there was an answer.",
	}, s.giveUp)
}

func (s *server) giveUp(ctx context.Context, in *struct {
	Key string `path:"key" minLength:"1" maxLength:"255" doc:"the request's Idempotency-Key"`
}) (*struct{}, error) {
	if s.Memory == nil {
		return nil, s.fault(ctx, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("this controller keeps no keys of requests")})
	}
	owner, key := asker(ctx).Name, keyWithin(asker(ctx), in.Key)
	end := s.flights.giveUp(owner, key)
	if end == nil {
		return nil, nil // the goroutine that serves it gives the leases back
	}
	defer end()
	return nil, s.fault(ctx, s.giveBackAll(ctx, owner, key))
}

// giveBackAll gives back what a request was given, and refuses the same request from now on.
func (s *server) giveBackAll(ctx context.Context, owner, key string) error {
	leases, err := s.givenTo(ctx, owner, key)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	s.giveBack(ctx, leases)
	// the digest is empty, so it matches no request
	s.Memory.Remember(compute.Answer{Owner: owner, Key: key, Time: time.Now(), Status: http.StatusConflict, Body: []byte{}})
	return nil
}

// givenTo returns the living leases that a request was given. compute.ErrNotFound: it has not been
// answered.
func (s *server) givenTo(ctx context.Context, owner, key string) ([]compute.Lease, error) {
	mark := digestOf(owner, key)
	if common, ok := s.Memory.(Common); ok {
		leases, _, err := common.Given(ctx, mark)
		// their worker still makes these, and ends them itself
		leases = slices.DeleteFunc(leases, func(l compute.Lease) bool { return l.Worker != 0 })
		if err != nil || len(leases) > 0 {
			return leases, err
		}
	}
	a, err := s.Memory.Answer(ctx, owner, key)
	switch {
	case err == nil:
		return s.living(ctx, a, mark)
	case !errors.Is(err, compute.ErrNotFound):
		return nil, err
	}
	leases, err := s.given.find(ctx, s.Engine(), mark)
	if err == nil && len(leases) == 0 {
		err = &compute.Error{Kind: compute.ErrNotFound}
	}
	return leases, err
}

// living returns the living leases that an answer names and that were given to the request of a
// mark. Answers of other operations name leases too.
func (s *server) living(ctx context.Context, a compute.Answer, mark string) (out []compute.Lease, err error) {
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
		all, err := s.Engine().Leases(ctx, compute.LeaseQuery{Instance: compute.ID(l.Instance)})
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
