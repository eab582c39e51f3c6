package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
)

// leaseAnswer is one lease.
type leaseAnswer struct{ Body api.Lease }

// leases adds the routes of leases.
func (s *server) leases() {
	s.acquiring()
	register(s, huma.Operation{
		OperationID: "list-leases", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/leases",
		Summary: "The leases that live", Tags: []string{"leases"},
	}, s.listLeases)
	register(s, huma.Operation{
		OperationID: "get-lease", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/leases/{lease}",
		Summary: "A lease, by its id, its name or its instance", Tags: []string{"leases"}, Errors: []int{404},
	}, s.getLease)
	register(s, huma.Operation{
		OperationID: "release", Extensions: needs(auth.Release), Method: http.MethodDelete, Path: "/v1/leases/{lease}",
		DefaultStatus: http.StatusNoContent, Summary: "Give an instance back",
		Tags: []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.release)
	register(s, huma.Operation{
		OperationID: "release-many", Extensions: needs(auth.Release), Method: http.MethodPost, Path: "/v1/release",
		DefaultStatus: http.StatusNoContent, MaxBodyBytes: maxBody,
		Summary: "Give instances back, all or none", Tags: []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.releaseMany)
	register(s, huma.Operation{
		OperationID: "extend", Extensions: needs(auth.Extend), Method: http.MethodPost,
		Path: "/v1/leases/{lease}/extend", MaxBodyBytes: maxBody, Summary: "Keep a lease longer",
		Tags:   []string{"leases"},
		Errors: []int{403, 404, 409},
	}, s.extend)
	register(s, huma.Operation{
		OperationID: "use", Extensions: needs(auth.Use), Method: http.MethodPost, Path: "/v1/leases/{lease}/use",
		Summary: "Say that the instance is used now", Tags: []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.use)
}

// giveBack releases leases that did not reach the client.
func (s *server) giveBack(ctx context.Context, leases []compute.Lease) {
	ctx = context.WithoutCancel(ctx)
	for _, l := range leases {
		if err := s.Engine().Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance); err != nil {
			s.log(ctx).Warn("a lease that nobody took is not given back", "lease", l.ID, "err", err)
		}
	}
	s.Ring()
}

type leaseList struct {
	Body struct {
		Leases chosen[api.Lease] `json:"leases" doc:"the oldest first"`
		Next   string            `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are no more"`
	}
}

// listLeases returns a page of the leases that the caller may see.
func (s *server) listLeases(ctx context.Context, in *struct {
	Owner    string `query:"owner" doc:"only this one's"`
	Source   string `query:"source" doc:"only of this source's instances"`
	Instance string `query:"instance" doc:"only that of this instance"`
	Name     string `query:"name" doc:"only that of this name"`
	Page
}) (*leaseList, error) {
	after, err := in.row()
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	p := asker(ctx)
	all, err := s.Engine().Leases(ctx, compute.LeaseQuery{
		Owner: in.Owner, Source: in.Source, Instance: compute.ID(in.Instance), Name: in.Name, Projects: seenProjects(p),
		After: after, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &leaseList{}
	page, next := cut(all, in.Limit, func(l compute.Lease) int64 { return l.Row })
	list := make([]api.Lease, 0, len(page))
	for _, l := range page {
		if s.seesLease(p, &l) {
			list = append(list, api.NewLease(l))
		}
	}
	out.Body.Next = next
	out.Body.Leases, err = choose(list, in.Fields)
	return out, s.fault(ctx, err)
}

func (s *server) getLease(ctx context.Context, in *struct {
	Lease string `path:"lease"`
}) (*leaseAnswer, error) {
	_, l, err := s.resolve(ctx, in.Lease)
	if err == nil && l == nil {
		err = &compute.Error{ID: compute.ID(in.Lease), Kind: compute.ErrNotFound, Err: errors.New("nobody has a lease on it")}
	}
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &leaseAnswer{api.NewLease(*l)}, nil
}

// Acting is the query that says whose leases a request acts on.
type Acting struct {
	Any   bool   `query:"any" doc:"whoever has the lease; for administrators"`
	Token string `query:"token" doc:"the lease that the caller holds, where he acts by that alone"`
}

func (s *server) release(ctx context.Context, in *struct {
	Lease string `path:"lease" doc:"its id or name, or its instance's name"`
	Force bool   `query:"force" doc:"discard the instance, whatever the source wants to keep"`
	Acting
}) (*struct{}, error) {
	w, err := who(ctx, in.Any, in.Token, auth.Release)
	if err == nil {
		err = s.acted(
			ctx, w, s.Engine().Release(ctx, w, compute.ReleaseOptions{Force: in.Force}, compute.ID(in.Lease)),
			compute.ID(in.Lease),
		)
		s.Ring()
	}
	return nil, s.fault(ctx, err)
}

func (s *server) releaseMany(ctx context.Context, in *struct {
	Body api.ReleaseRequest
	Acting
}) (*struct{}, error) {
	w, err := who(ctx, in.Any, in.Token, auth.Release)
	if err == nil {
		err = mayName(ctx, in.Body.Names)
	}
	if err == nil {
		names := ids(in.Body.Names)
		s.aboutThese(ctx, in.Body.Names)
		err = s.acted(
			ctx, w,
			s.Engine().Release(
				ctx, w, compute.ReleaseOptions{Force: in.Body.Force, Discard: in.Body.Discard, Ended: in.Body.Ended},
				names...,
			),
			names...,
		)
		s.Ring()
	}
	return nil, s.fault(ctx, err)
}

func (s *server) extend(ctx context.Context, in *struct {
	Lease string             `path:"lease"`
	Body  *api.ExtendRequest `required:"false"`
	Acting
}) (*leaseAnswer, error) {
	w, err := who(ctx, in.Any, in.Token, auth.Extend)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	var doc api.ExtendRequest // a request without a body is like one with an empty body
	if in.Body != nil {
		doc = *in.Body
	}
	all, err := s.Engine().Extend(ctx, w, doc.Compute(), compute.ID(in.Lease))
	if err != nil {
		return nil, s.fault(ctx, s.acted(ctx, w, err, compute.ID(in.Lease)))
	}
	return &leaseAnswer{api.NewLease(all[0])}, nil
}

func (s *server) use(ctx context.Context, in *struct {
	Lease string `path:"lease"`
	Acting
}) (*leaseAnswer, error) {
	w, err := who(ctx, in.Any, in.Token, auth.Use)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	l, err := s.Engine().Use(ctx, w, compute.ID(in.Lease))
	if err != nil {
		return nil, s.fault(ctx, s.acted(ctx, w, err, compute.ID(in.Lease)))
	}
	return &leaseAnswer{api.NewLease(l)}, nil
}

// mayName returns why the caller may not name so many things at once, or nil.
func mayName(ctx context.Context, names []string) error {
	p := asker(ctx)
	return policy.Names(p.Own && p.Admin(), len(names))
}

func ids(names []string) []compute.ID {
	out := make([]compute.ID, len(names))
	for i, n := range names {
		out[i] = compute.ID(n)
	}
	return out
}
