package server

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
)

type instanceAnswer struct{ Body api.Instance }

type instanceList struct {
	Body struct {
		Instances chosen[api.Instance] `json:"instances" doc:"the oldest first"`
		Next      string               `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are no more"`
	}
}

// instances serves the instances.
type instances struct {
	engine func() Engine
	rules  *access.Rules
}

// listInstances returns a page of the instances that the caller may see, with their leases.
func (s *instances) listInstances(ctx context.Context, in *struct {
	Source string   `query:"source" doc:"only this source's"`
	Owner  string   `query:"owner" doc:"only those that he has leased"`
	State  []string `query:"state" enum:"creating,setting-up,ready,leased,cleaning,failed,discarding,held" doc:"only those in these states"`
	Page
}) (*instanceList, error) {
	after, err := in.row()
	if err != nil {
		return nil, err
	}
	q := inventory.InstanceQuery{Source: in.Source, Owner: in.Owner, After: after, Limit: in.Limit + 1}
	p := request.Caller(ctx)
	for _, st := range in.State {
		q.States = append(q.States, compute.State(st))
	}
	all, err := s.engine().Instances(ctx, q)
	if err != nil {
		return nil, err
	}
	of, err := s.rules.LeasesOf(ctx, all)
	if err != nil {
		return nil, err
	}
	out := &instanceList{}
	row := func(i compute.Instance) int64 { return i.Row }
	list, last, err := page(ctx, all, in.Limit, in.Fields, row, func(i compute.Instance) (api.Instance, bool) {
		l := first(of[i.ID])
		return api.NewInstance(i, l).WithShares(of[i.ID]), s.rules.SeesInstance(p, &i, l)
	})
	out.Body.Instances, out.Body.Next = list, next(last)
	return out, err
}

// first returns the lease that stands for all those of an instance; nil: there is none.
func first(leases []*compute.Lease) *compute.Lease {
	if len(leases) == 0 {
		return nil
	}
	return leases[0]
}

func (s *instances) getInstance(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*instanceAnswer, error) {
	i, l, err := s.rules.Resolve(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	v := api.NewInstance(i, l)
	if l != nil && l.Share != nil {
		of, err := s.rules.LeasesOf(ctx, []compute.Instance{i})
		if err != nil {
			return nil, err
		}
		v = v.WithShares(of[i.ID])
	}
	return &instanceAnswer{v}, nil
}

func (s *instances) getLeaf(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*instanceAnswer, error) {
	i, _, err := s.rules.Resolve(ctx, in.Name)
	if err == nil {
		i, err = s.engine().Leaf(ctx, i.ID)
	}
	if err != nil {
		return nil, err
	}
	return &instanceAnswer{api.NewInstance(i, nil)}, nil
}

func (s *instances) hold(ctx context.Context, in *struct {
	Body api.HoldRequest
	Acting
}) (*struct{}, error) {
	w, err := access.Who(ctx, in.Any, in.Token, auth.Release)
	if err == nil && request.Caller(ctx).Lease != "" {
		err = &compute.Error{Kind: compute.ErrDenied, Err: errors.New("a lease's own token cannot have its instance held")}
	}
	if err == nil {
		err = access.MayName(ctx, in.Body.Names)
	}
	if err == nil {
		names := ids(in.Body.Names)
		s.rules.About(ctx, in.Body.Names)
		request.Because(ctx, in.Body.Reason)
		err = s.rules.Acted(ctx, w, s.engine().Hold(ctx, w, in.Body.Reason, names...), names...)
	}
	return nil, err
}
