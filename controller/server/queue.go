package server

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
)

type queueList struct {
	Body struct {
		Queue []api.Waiter `json:"queue" doc:"by their sources, and there in the order of their turns"`
	}
}

// queue serves the requests that wait.
type queue struct{ engine func() Engine }

func (s *queue) listQueue(ctx context.Context, _ *struct{}) (*queueList, error) {
	all, err := s.engine().Queue(ctx)
	if err != nil {
		return nil, err
	}
	out := &queueList{}
	out.Body.Queue = []api.Waiter{}
	for _, q := range all {
		if access.SeesWaiter(request.Caller(ctx), &q.Waiter) {
			out.Body.Queue = append(out.Body.Queue, api.NewWaiter(q))
		}
	}
	return out, nil
}

func (s *queue) cancel(ctx context.Context, in *struct {
	ID int64 `path:"id"`
}) (*struct{}, error) {
	p := request.Caller(ctx)
	all, err := s.engine().Queue(ctx)
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(all, func(q inventory.Queued) bool { return q.ID == in.ID && access.SeesWaiter(p, &q.Waiter) })
	if n < 0 {
		return nil, &compute.Error{ID: compute.ID(strconv.FormatInt(in.ID, 10)), Kind: compute.ErrNotFound,
			Err:  errors.New("no request of this number waits"),
			Hint: "`hostler queue` shows those that do"}
	}
	w := all[n].Waiter
	if err := access.MayCancel(p, &w); err != nil {
		return nil, err
	}
	return nil, s.engine().Cancel(ctx, compute.Who{Owner: p.Name, Admin: true}, in.ID)
}
