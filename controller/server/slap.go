package server

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/controller/server/stream"
)

// SlapBook reads what the SlapOS master has, limited to what the caller may see.
type SlapBook interface {
	Computers(ctx context.Context, p auth.Principal, match string, page api.SlapPage) (api.SlapComputerPage, error)
	Computer(ctx context.Context, p auth.Principal, name string) (api.SlapComputerDetail, error)
	Usage(ctx context.Context, p auth.Principal, computer, of string) (api.SlapUsage, error)
	Instances(ctx context.Context, p auth.Principal, q api.SlapQuery, page api.SlapPage) (api.SlapInstancePage, error)
	Instance(ctx context.Context, p auth.Principal, id string) (api.SlapInstanceDetail, error)
	Software(ctx context.Context, p auth.Principal, release string) (api.SlapSoftware, error)
	// Changed returns the new mark when anything differs from the given mark. Without a mark it
	// returns at once.
	Changed(ctx context.Context, p auth.Principal, mark string) (string, error)
}

// Slap also changes what the SlapOS master has, for a caller.
type Slap interface {
	SlapBook
	Connection(ctx context.Context, p auth.Principal, id string) (api.SlapConnection, error)
	Request(ctx context.Context, p auth.Principal, q api.SlapRequest) (api.SlapInstanceDetail, error)
	Change(ctx context.Context, p auth.Principal, id string, c api.SlapChange) (api.SlapInstanceDetail, error)
	Supply(ctx context.Context, p auth.Principal, computer string, q api.SlapSupply) error
}

// slapos serves the SlapOS master, if there is one.
type slapos struct {
	master func() Slap // nil, or nil returned: there is none
	errors request.Errors
	ending <-chan struct{}
}

// slapping returns the SlapOS master, or the error that there is none.
func (s *slapos) slapping() (Slap, error) {
	if s.master != nil {
		if m := s.master(); m != nil {
			return m, nil
		}
	}
	return nil, &compute.Error{
		Kind: compute.ErrNotFound, Err: errors.New("this controller is no SlapOS master"),
		Hint: "[slap] in hostler.conf makes it one; docs/slapos.md",
	}
}

// slapAct adds a route of the SlapOS master. In is its input and Out its answer.
func slapAct[In, Out any](
	s *slapos, t *route.Table, op huma.Operation, act func(ctx context.Context, m Slap, p auth.Principal, in *In) (Out, error),
) {
	op.Tags = []string{"slapos"}
	op.Errors = append(op.Errors, 404)
	route.Add(t, op, func(ctx context.Context, in *In) (*struct{ Body Out }, error) {
		m, err := s.slapping()
		if err != nil {
			return nil, err
		}
		out, err := act(ctx, m, request.Caller(ctx), in)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Out }{out}, nil
	})
}

// OnSlapComputer is the path parameter that names a computer.
type OnSlapComputer struct {
	Computer string `path:"computer" doc:"its reference"`
}

// OfSlapInstance is the path parameter that names an instance.
type OfSlapInstance struct {
	Instance string `path:"instance" doc:"its id"`
}

// add adds the routes of the SlapOS master. They exist without a master too, so that the API is
// the same everywhere.
func (s *slapos) add(t *route.Table) {
	see, use := route.Needs(auth.See), route.Needs(auth.Use)
	slapAct(s, t, huma.Operation{
		OperationID: "list-slap-computers", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/computers",
		Summary: "The computers of the SlapOS master",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			api.SlapPage
			Match string `query:"match" maxLength:"200" doc:"only those with this text in reference or title"`
		}) (api.SlapComputerPage, error) {
			return m.Computers(ctx, p, in.Match, in.SlapPage)
		})
	slapAct(s, t, huma.Operation{
		OperationID: "get-slap-computer", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/computers/{computer}",
		Summary: "A computer of the SlapOS master, with its partitions and releases",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *OnSlapComputer) (api.SlapComputerDetail, error) {
			return m.Computer(ctx, p, in.Computer)
		})
	slapAct(s, t, huma.Operation{
		OperationID: "get-slap-usage", Extensions: see, Method: http.MethodGet,
		Path: "/v1/slap/computers/{computer}/usage", Summary: "What was reported of the use of a computer",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			OnSlapComputer
			Of string `query:"of" doc:"of this partition; left out: of the computer"`
		}) (api.SlapUsage, error) {
			return m.Usage(ctx, p, in.Computer, in.Of)
		})
	slapAct(s, t, huma.Operation{
		OperationID: "list-slap-instances", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/instances",
		Summary: "The instances of the SlapOS master",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			api.SlapQuery
			api.SlapPage
		}) (api.SlapInstancePage, error) {
			return m.Instances(ctx, p, in.SlapQuery, in.SlapPage)
		})
	slapAct(s, t, huma.Operation{
		OperationID: "get-slap-instance", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/instances/{instance}",
		Summary: "An instance of the SlapOS master",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *OfSlapInstance) (api.SlapInstanceDetail, error) {
			return m.Instance(ctx, p, in.Instance)
		})
	slapAct(s, t, huma.Operation{OperationID: "get-slap-connection", Extensions: use, Method: http.MethodGet,
		Path: "/v1/slap/instances/{instance}/connection", Summary: "The connection parameters of an instance",
		Errors:      []int{403},
		Description: "They may be secret, so it is in the audit log who read them."},
		func(ctx context.Context, m Slap, p auth.Principal, in *OfSlapInstance) (api.SlapConnection, error) {
			request.About(ctx, "", in.Instance)
			return m.Connection(ctx, p, in.Instance)
		})
	slapAct(s, t, huma.Operation{
		OperationID: "get-slap-software", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/software",
		Summary: "What a software release says of itself, with the schemas of its parameters",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			Release string `query:"release" maxLength:"2000" doc:"its URL"`
		}) (api.SlapSoftware, error) {
			return m.Software(ctx, p, in.Release)
		})
	slapAct(s, t, huma.Operation{OperationID: "request-slap-instance", Extensions: use, Method: http.MethodPost,
		Path: "/v1/slap/instances", Summary: "Ask for an instance tree, or for one's own of that title to be so",
		Errors:      []int{400, 403, 429},
		Description: "Where there is no place for it, it is kept without one, with the reason, and placed by a later request."},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct{ Body api.SlapRequest }) (api.SlapInstanceDetail, error) {
			request.About(ctx, p.Project, in.Body.Title)
			return m.Request(ctx, p, in.Body)
		})
	slapAct(s, t, huma.Operation{
		OperationID: "change-slap-instance", Extensions: use, Method: http.MethodPost,
		Path:    "/v1/slap/instances/{instance}",
		Summary: "Change an instance tree: start, stop or destroy it, or give it other parameters",
		Errors:  []int{400, 403, 409, 429},
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			OfSlapInstance
			Body api.SlapChange
		}) (api.SlapInstanceDetail, error) {
			request.About(ctx, "", in.Instance)
			return m.Change(ctx, p, in.Instance, in.Body)
		})
	route.Add(t, huma.Operation{OperationID: "supply-slap-release", Extensions: use, Method: http.MethodPost,
		Path: "/v1/slap/computers/{computer}/supply", DefaultStatus: http.StatusNoContent,
		Summary: "Want a software release on a computer, or want it away", Tags: []string{"slapos"},
		Errors: []int{400, 403, 404}}, func(ctx context.Context, in *struct {
		OnSlapComputer
		Body api.SlapSupply
	}) (*struct{}, error) {
		m, err := s.slapping()
		if err == nil {
			request.About(ctx, "", in.Computer, in.Body.Release)
			err = m.Supply(ctx, request.Caller(ctx), in.Computer, in.Body)
		}
		return nil, err
	})
	schema := t.Schema(reflect.TypeFor[api.SlapMark](), "SlapMark")
	route.Add(t, huma.Operation{
		OperationID: "watch-slap", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/watch",
		Summary: "That something of the SlapOS master has changed, when it does", Tags: []string{"slapos"},
		Errors:      []int{404},
		Description: "Server-Sent Events: one at once, and one whenever anything is otherwise, at most two a second. What it is, the other paths tell.",
		Responses: map[string]*huma.Response{"200": {
			Description: "a stream without end",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		m, err := s.slapping()
		if err != nil {
			return nil, err
		}
		mark, err := m.Changed(ctx, request.Caller(ctx), "")
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) { s.slapStream(c, m, mark) }}, nil
	})
}

// slapCalm is the shortest time between two messages of a stream.
const slapCalm = 500 * time.Millisecond

// slapStream reports changes until the reader has gone or the controller ends.
func (s *slapos) slapStream(c huma.Context, m Slap, mark string) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	c.SetHeader("Content-Type", api.EventStream)
	c.SetHeader("Cache-Control", "no-store")
	if c.Method() == http.MethodHead {
		return
	}
	go func() { // ends with the request
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	out, p := stream.New(c), request.Caller(c.Context())
	for told := ""; ; {
		if mark != told {
			told = mark
			if !out.Event("", "", api.SlapMark{Mark: mark}) || !wait(ctx, slapCalm) {
				return
			}
		}
		short, end := context.WithTimeout(ctx, stream.Lull())
		next, err := m.Changed(short, p, told)
		late := short.Err() != nil && ctx.Err() == nil
		end()
		switch {
		case err == nil:
			mark = next
		case ctx.Err() != nil:
			return
		case late:
			if !out.Say([]byte(": \n\n")) {
				return
			}
		default:
			s.errors.LogOf(ctx).Warn("a watcher of the SlapOS master", "err", err)
			_ = out.Event("", api.EventProblem, s.errors.Problem(ctx, err))
			return
		}
	}
}

// wait waits for a duration, and reports whether ctx is still going.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
