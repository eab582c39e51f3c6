package server

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/idempotency"
	"github.com/hostler-project/hostler/controller/server/request"
)

// leaseAnswer is one lease.
type leaseAnswer struct{ Body api.Lease }

// leases serves the leases.
type leases struct {
	engine func() Engine
	rules  *access.Rules
	once   *idempotency.Once
	tokens *tokens
	errors request.Errors
	ring   func()
	ending <-chan struct{}
}

type leaseList struct {
	Body struct {
		Leases chosen[api.Lease] `json:"leases" doc:"the oldest first"`
		Next   string            `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are no more"`
	}
}

// listLeases returns a page of the leases that the caller may see.
func (s *leases) listLeases(ctx context.Context, in *struct {
	Owner    string `query:"owner" doc:"only this one's"`
	Source   string `query:"source" doc:"only of this source's instances"`
	Instance string `query:"instance" doc:"only that of this instance"`
	Name     string `query:"name" doc:"only that of this name"`
	Page
}) (*leaseList, error) {
	after, err := in.row()
	if err != nil {
		return nil, err
	}
	p := request.Caller(ctx)
	all, err := s.engine().Leases(ctx, inventory.LeaseQuery{
		Owner: in.Owner, Source: in.Source, Instance: compute.ID(in.Instance), Name: in.Name, Projects: access.SeenProjects(p),
		After: after, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	out := &leaseList{}
	row := func(l compute.Lease) int64 { return l.Row }
	list, last, err := page(ctx, all, in.Limit, in.Fields, row, func(l compute.Lease) (api.Lease, bool) {
		return api.NewLease(l), s.rules.SeesLease(p, &l)
	})
	out.Body.Leases, out.Body.Next = list, next(last)
	return out, err
}

func (s *leases) getLease(ctx context.Context, in *struct {
	Lease string `path:"lease"`
}) (*leaseAnswer, error) {
	_, l, err := s.rules.Resolve(ctx, in.Lease)
	if err == nil && l == nil {
		err = &compute.Error{ID: compute.ID(in.Lease), Kind: compute.ErrNotFound, Err: errors.New("nobody has a lease on it")}
	}
	if err != nil {
		return nil, err
	}
	return &leaseAnswer{api.NewLease(*l)}, nil
}

// Acting is the query that says whose leases a request acts on.
type Acting struct {
	Any   bool   `query:"any" doc:"whoever has the lease; for administrators"`
	Token string `query:"token" doc:"the lease that the caller holds, where he acts by that alone"`
}

func (s *leases) release(ctx context.Context, in *struct {
	Lease string `path:"lease" doc:"its id or name, or its instance's name"`
	Force bool   `query:"force" doc:"discard the instance, whatever the source wants to keep"`
	Acting
}) (*struct{}, error) {
	w, err := access.Who(ctx, in.Any, in.Token, auth.Release)
	if err == nil {
		err = s.rules.Acted(
			ctx, w, s.engine().Release(ctx, w, compute.ReleaseOptions{Force: in.Force}, compute.ID(in.Lease)),
			compute.ID(in.Lease),
		)
		s.ring()
	}
	return nil, err
}

func (s *leases) releaseMany(ctx context.Context, in *struct {
	Body api.ReleaseRequest
	Acting
}) (*struct{}, error) {
	w, err := access.Who(ctx, in.Any, in.Token, auth.Release)
	if err == nil {
		err = access.MayName(ctx, in.Body.Names)
	}
	if err == nil {
		names := ids(in.Body.Names)
		s.rules.About(ctx, in.Body.Names)
		err = s.rules.Acted(
			ctx, w,
			s.engine().Release(
				ctx, w, compute.ReleaseOptions{Force: in.Body.Force, Discard: in.Body.Discard, Ended: in.Body.Ended},
				names...,
			),
			names...,
		)
		s.ring()
	}
	return nil, err
}

func (s *leases) extend(ctx context.Context, in *struct {
	Lease string             `path:"lease"`
	Body  *api.ExtendRequest `required:"false"`
	Acting
}) (*leaseAnswer, error) {
	w, err := access.Who(ctx, in.Any, in.Token, auth.Extend)
	if err != nil {
		return nil, err
	}
	var doc api.ExtendRequest // a request without a body is like one with an empty body
	if in.Body != nil {
		doc = *in.Body
	}
	all, err := s.engine().Extend(ctx, w, doc.Compute(), compute.ID(in.Lease))
	if err != nil {
		return nil, s.rules.Acted(ctx, w, err, compute.ID(in.Lease))
	}
	return &leaseAnswer{api.NewLease(all[0])}, nil
}

func (s *leases) use(ctx context.Context, in *struct {
	Lease string `path:"lease"`
	Acting
}) (*leaseAnswer, error) {
	w, err := access.Who(ctx, in.Any, in.Token, auth.Use)
	if err != nil {
		return nil, err
	}
	l, err := s.engine().Use(ctx, w, compute.ID(in.Lease))
	if err != nil {
		return nil, s.rules.Acted(ctx, w, err, compute.ID(in.Lease))
	}
	return &leaseAnswer{api.NewLease(l)}, nil
}

func ids(names []string) []compute.ID {
	out := make([]compute.ID, len(names))
	for i, n := range names {
		out[i] = compute.ID(n)
	}
	return out
}

func (s *leases) giveUp(ctx context.Context, in *struct {
	Key string `path:"key" minLength:"1" maxLength:"255" doc:"the request's Idempotency-Key"`
}) (*struct{}, error) {
	return nil, s.once.GiveUp(ctx, in.Key)
}
