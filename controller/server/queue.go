package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// Line shows and changes the queue.
type Line interface {
	Queue(ctx context.Context) ([]compute.Queued, error)
	Cancel(ctx context.Context, who compute.Who, id int64) error
}

type queueList struct {
	Body struct {
		Queue []api.Waiter `json:"queue" doc:"by their sources, and there in the order of their turns"`
	}
}

// queue adds the routes of the queue.
func (s *server) queue() {
	register(s, huma.Operation{
		OperationID: "list-queue", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/queue",
		Summary: "The requests that wait, their places and for how long", Tags: []string{"queue"},
	}, s.listQueue)
	register(s, huma.Operation{
		OperationID: "cancel", Extensions: needs(auth.Take), Method: http.MethodDelete, Path: "/v1/queue/{id}",
		DefaultStatus: http.StatusNoContent,
		Summary:       "Take a request out of the queue; whoever waits for it gets an error", Tags: []string{"queue"},
		Errors: []int{403, 404},
	}, s.cancel)
}

// seesWaiter reports whether a caller may see a waiting request.
func (s *server) seesWaiter(p auth.Principal, w *compute.Waiter) bool {
	return p.Lease == "" && p.May(auth.See, w.Project) && (p.Source == "" || p.Source == w.Source)
}

func (s *server) listQueue(ctx context.Context, _ *struct{}) (*queueList, error) {
	all, err := s.Engine().Queue(ctx)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &queueList{}
	out.Body.Queue = []api.Waiter{}
	for _, q := range all {
		if s.seesWaiter(asker(ctx), &q.Waiter) {
			out.Body.Queue = append(out.Body.Queue, api.NewWaiter(q))
		}
	}
	return out, nil
}

func (s *server) cancel(ctx context.Context, in *struct {
	ID int64 `path:"id"`
}) (*struct{}, error) {
	p := asker(ctx)
	all, err := s.Engine().Queue(ctx)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	n := slices.IndexFunc(all, func(q compute.Queued) bool { return q.ID == in.ID && s.seesWaiter(p, &q.Waiter) })
	if n < 0 {
		return nil, s.fault(ctx, &compute.Error{ID: compute.ID(strconv.FormatInt(in.ID, 10)), Kind: compute.ErrNotFound,
			Err:  errors.New("no request of this number waits"),
			Hint: "`hostler queue` shows those that do"})
	}
	w := all[n].Waiter
	if own := w.Owner == p.Name && p.May(auth.Take, w.Project); !own && !p.May(auth.Others, w.Project) {
		return nil, s.fault(ctx, lacks(p, auth.Others))
	}
	return nil, s.fault(ctx, s.Engine().Cancel(ctx, compute.Who{Owner: p.Name, Admin: true}, in.ID))
}
