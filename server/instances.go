package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

type instanceAnswer struct{ Body api.Instance }

type instanceList struct {
	Body struct {
		Instances []api.Instance `json:"instances" doc:"the oldest first"`
		Next      string         `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are no more"`
	}
}

// instances are the paths of instances.
func (s *server) instances() {
	huma.Register(s.api, huma.Operation{
		OperationID: "list-instances", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/instances", Summary: "The instances that there are", Tags: []string{"instances"},
	}, s.listInstances)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-instance", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/instances/{name}", Summary: "An instance, by its name or that of its lease", Tags: []string{"instances"}, Errors: []int{404},
	}, s.getInstance)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-leaf", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/instances/{name}/leaf", Summary: "The real instance behind a pool's", Tags: []string{"instances"}, Errors: []int{404},
	}, s.getLeaf)
	huma.Register(s.api, huma.Operation{
		OperationID: "hold", Extensions: needs(auth.Release), Method: http.MethodPost, Path: "/v1/hold", DefaultStatus: http.StatusNoContent, MaxBodyBytes: maxBody,
		Summary: "Keep instances aside for a person to look at", Tags: []string{"instances"}, Errors: []int{403, 404, 409},
	}, s.hold)
}

func (s *server) listInstances(ctx context.Context, in *struct {
	Source string   `query:"source" doc:"only this source's"`
	State  []string `query:"state" enum:"creating,setting-up,ready,leased,cleaning,failed,discarding,held" doc:"only those in these states"`
	Page
}) (*instanceList, error) {
	q := compute.InstanceQuery{}
	for _, st := range in.State {
		q.States = append(q.States, compute.State(st))
	}
	all, err := s.Engine().Instances(ctx, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	if in.Source != "" {
		kept := all[:0]
		for _, i := range all {
			if i.Source == in.Source {
				kept = append(kept, i)
			}
		}
		all = kept
	}
	leases, err := s.Engine().Leases(ctx, compute.LeaseQuery{})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	of := make(map[compute.ID]*compute.Lease, len(leases))
	for i := range leases {
		of[leases[i].Instance] = &leases[i]
	}
	out := &instanceList{}
	some, next := cut(all, in.Page, func(i compute.Instance) string { return string(i.ID) })
	out.Body.Next, out.Body.Instances = next, make([]api.Instance, len(some))
	for n, i := range some {
		out.Body.Instances[n] = api.NewInstance(i, of[i.ID])
	}
	return out, nil
}

func (s *server) getInstance(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*instanceAnswer, error) {
	i, l, err := s.Engine().Resolve(ctx, in.Name)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &instanceAnswer{api.NewInstance(i, l)}, nil
}

func (s *server) getLeaf(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*instanceAnswer, error) {
	i, err := s.Engine().Leaf(ctx, compute.ID(in.Name))
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
	if err == nil {
		err = s.Engine().Hold(ctx, w, in.Body.Reason, ids(in.Body.Names)...)
	}
	return nil, s.fault(ctx, err)
}
