package server

import (
	"context"
	"errors"
	"net/http"
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

// current returns the SlapOS master, or the error that there is none.
func (s *slapos) current() (Slap, error) {
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

// addSlap adds a route of the SlapOS master. In is its input and Out its answer.
func addSlap[In, Out any](
	s *slapos, t *route.Table, op huma.Operation, act func(ctx context.Context, m Slap, p auth.Principal, in *In) (Out, error),
) {
	op.Tags = []string{"slapos"}
	op.Errors = append(op.Errors, 404)
	route.Add(t, op, func(ctx context.Context, in *In) (*struct{ Body Out }, error) {
		m, err := s.current()
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
