package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/stream"
)

type eventList struct {
	Body struct {
		Events chosen[compute.Event] `json:"events" doc:"the oldest first"`
		Next   string                `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are none yet"`
	}
}

// Selection is the query that selects events.
type Selection struct {
	Instance string `query:"instance" doc:"only of this instance"`
	Source   string `query:"source" doc:"only of this source"`
	Lease    string `query:"lease" doc:"only of this lease, by its id"`
}

func (q Selection) compute() inventory.EventQuery {
	return inventory.EventQuery{Instance: compute.ID(q.Instance), Source: q.Source, Lease: q.Lease}
}

// journal serves the events.
type journal struct {
	engine func() Engine
	rules  *access.Rules
	errors request.Errors
	ending <-chan struct{}
	tail   tail
}

// atOnce is how many events a watcher reads at a time, so that one that starts far back does not
// hold the whole journal in memory.
const atOnce = 1000

// stream writes events as they come, until the reader has gone or is too slow.
func (s *journal) stream(c huma.Context, q inventory.EventQuery) {
	ctx := c.Context()
	p := request.Caller(ctx)
	c.SetHeader("Content-Type", api.EventStream)
	c.SetHeader("Cache-Control", "no-store")
	if c.Method() == http.MethodHead {
		// after a HEAD the client reuses the connection, and its next request would wait until this
		// one ends
		return
	}
	out := stream.New(c)
	if !out.Say([]byte(": watching\n\n")) {
		return
	}
	defer s.tail.join()()
	quiet := time.NewTimer(stream.Lull())
	defer quiet.Stop()
	q.Limit = atOnce
	for {
		more := s.tail.next()
		found, err := s.engine().Events(ctx, q)
		if err != nil && ctx.Err() == nil {
			s.errors.LogOf(ctx).Warn("a watcher of events", "err", err)
			_ = out.Event("", api.EventProblem, s.errors.Problem(ctx, err))
			return
		}
		var text []byte
		for _, e := range found {
			if q.After = e.ID; s.rules.SeesEvent(p, &e) {
				text = stream.AppendEvent(text, strconv.FormatInt(e.ID, 10), "", e)
			}
		}
		if len(text) > 0 {
			if !out.Say(text) {
				return
			}
			quiet.Reset(stream.Lull())
		}
		if len(found) == atOnce {
			continue // there is more
		}
		for more != nil {
			select {
			case <-ctx.Done():
				return
			case <-s.ending:
				return
			case <-more:
				more = nil
			case <-quiet.C:
				if !out.Say([]byte(": \n\n")) {
					return
				}
				quiet.Reset(stream.Lull())
			}
		}
	}
}

// listEventsInput selects the events of a page.
type listEventsInput struct {
	Selection
	After  int64  `query:"after" minimum:"0" doc:"only what follows the event of this id; left out: the newest"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100000" default:"1000" doc:"so many at most; fewer where they are large"`
	Fields Fields `query:"fields" example:"id,kind,instance" doc:"only these fields of each; those that are left out are not there, whatever the schema requires. None: all"`
}

func (s *journal) listEvents(ctx context.Context, in *listEventsInput) (*eventList, error) {
	q, p := in.compute(), request.Caller(ctx)
	q.Projects, q.Common = access.SeenProjects(p), true
	if q.After = in.After; q.After == 0 {
		q.Newest = in.Limit
	} else {
		q.Limit = in.Limit + 1
	}
	all, err := s.engine().Events(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &eventList{}
	row := func(e compute.Event) int64 { return e.ID }
	list, last, err := page(ctx, all, in.Limit, in.Fields, row, func(e compute.Event) (compute.Event, bool) {
		return e, s.rules.SeesEvent(p, &e)
	})
	out.Body.Events, out.Body.Next = list, next(last)
	return out, err
}

// watchEventsInput selects the events of a stream.
type watchEventsInput struct {
	Selection
	After string `query:"after" doc:"begin after the event of this id; 0: with the first. Left out: with what happens now"`
	Last  string `header:"Last-Event-ID" doc:"the same, as browsers say it"`
}

func (s *journal) watchEvents(ctx context.Context, in *watchEventsInput) (*huma.StreamResponse, error) {
	q := in.compute()
	after := in.Last
	if after == "" {
		after = in.After
	}
	if after != "" {
		n, err := strconv.ParseInt(after, 10, 64)
		if err != nil || n < 0 {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%q is no event's id", after)}
		}
		q.After = n
	} else {
		last, err := s.engine().Events(ctx, inventory.EventQuery{Newest: 1})
		if err != nil {
			return nil, err
		}
		for _, e := range last {
			q.After = e.ID
		}
	}
	return &huma.StreamResponse{Body: func(c huma.Context) { s.stream(c, q) }}, nil
}
