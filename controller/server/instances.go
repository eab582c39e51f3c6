package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

type instanceAnswer struct{ Body api.Instance }

type instanceList struct {
	Body struct {
		Instances chosen[api.Instance] `json:"instances" doc:"the oldest first"`
		Next      string               `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are no more"`
	}
}

// instances adds the routes of instances.
func (s *server) instances() {
	register(s, huma.Operation{
		OperationID: "list-instances", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/instances",
		Summary: "The instances that there are", Tags: []string{"instances"},
	}, s.listInstances)
	register(s, huma.Operation{
		OperationID: "get-instance", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/instances/{name}",
		Summary: "An instance, by its name or that of its lease", Tags: []string{"instances"}, Errors: []int{404},
	}, s.getInstance)
	register(s, huma.Operation{
		OperationID: "get-leaf", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/instances/{name}/leaf",
		Summary: "The real instance behind a pool's", Tags: []string{"instances"}, Errors: []int{404},
	}, s.getLeaf)
	register(s, huma.Operation{
		OperationID: "hold", Extensions: needs(auth.Release), Method: http.MethodPost, Path: "/v1/hold",
		DefaultStatus: http.StatusNoContent, MaxBodyBytes: maxBody,
		Summary: "Keep instances aside for a person to look at", Tags: []string{"instances"}, Errors: []int{403, 404, 409},
	}, s.hold)
}

// listInstances returns a page of the instances that the caller may see, with their leases.
func (s *server) listInstances(ctx context.Context, in *struct {
	Source string   `query:"source" doc:"only this source's"`
	Owner  string   `query:"owner" doc:"only those that he has leased"`
	State  []string `query:"state" enum:"creating,setting-up,ready,leased,cleaning,failed,discarding,held" doc:"only those in these states"`
	Page
}) (*instanceList, error) {
	after, err := in.row()
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	q := compute.InstanceQuery{Source: in.Source, Owner: in.Owner, After: after, Limit: in.Limit + 1}
	p := asker(ctx)
	for _, st := range in.State {
		q.States = append(q.States, compute.State(st))
	}
	all, err := s.Engine().Instances(ctx, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	page, next := cut(all, in.Limit, func(i compute.Instance) int64 { return i.Row })
	of, err := s.leasesOf(ctx, page)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	list := make([]api.Instance, 0, len(page))
	for _, i := range page {
		if l := first(of[i.ID]); s.seesInstance(p, &i, l) {
			list = append(list, api.NewInstance(i, l).WithShares(of[i.ID]))
		}
	}
	out := &instanceList{}
	out.Body.Next = next
	out.Body.Instances, err = choose(list, in.Fields)
	return out, s.fault(ctx, err)
}

// first returns the lease that stands for all those of an instance; nil: there is none.
func first(leases []*compute.Lease) *compute.Lease {
	if len(leases) == 0 {
		return nil
	}
	return leases[0]
}

// leasesOf returns the leases of instances that the caller may see, the oldest first. An instance
// has one lease, or several that share it.
func (s *server) leasesOf(ctx context.Context, instances []compute.Instance) (map[compute.ID][]*compute.Lease, error) {
	var leased []compute.ID
	for _, i := range instances {
		if i.State == compute.Leased {
			leased = append(leased, i.ID)
		}
	}
	if len(leased) == 0 {
		return nil, nil
	}
	leases, err := s.Engine().Leases(ctx, compute.LeaseQuery{Instances: leased})
	if err != nil {
		return nil, err
	}
	of := make(map[compute.ID][]*compute.Lease, len(leases))
	p := asker(ctx)
	for i, l := range leases {
		if s.seesLease(p, &leases[i]) {
			of[l.Instance] = append(of[l.Instance], &leases[i])
		}
	}
	return of, nil
}

func (s *server) getInstance(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*instanceAnswer, error) {
	i, l, err := s.resolve(ctx, in.Name)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	v := api.NewInstance(i, l)
	if l != nil && l.Share != nil {
		of, err := s.leasesOf(ctx, []compute.Instance{i})
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		v = v.WithShares(of[i.ID])
	}
	return &instanceAnswer{v}, nil
}

func (s *server) getLeaf(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*instanceAnswer, error) {
	i, _, err := s.resolve(ctx, in.Name)
	if err == nil {
		i, err = s.Engine().Leaf(ctx, i.ID)
	}
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &instanceAnswer{api.NewInstance(i, nil)}, nil
}

func (s *server) hold(ctx context.Context, in *struct {
	Body api.HoldRequest
	Acting
}) (*struct{}, error) {
	w, err := who(ctx, in.Any, in.Token, auth.Release)
	if err == nil && asker(ctx).Lease != "" {
		err = &compute.Error{Kind: compute.ErrDenied, Err: errors.New("a lease's own token cannot have its instance held")}
	}
	if err == nil {
		err = mayName(ctx, in.Body.Names)
	}
	if err == nil {
		names := ids(in.Body.Names)
		s.aboutThese(ctx, in.Body.Names)
		because(ctx, in.Body.Reason)
		err = s.acted(ctx, w, s.Engine().Hold(ctx, w, in.Body.Reason, names...), names...)
	}
	return nil, s.fault(ctx, err)
}
