package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/idempotency"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/stream"
)

// taken is the result of a request for leases.
type taken struct {
	leases []compute.Lease
	err    error
}

// acquiring is a request for leases.
type acquiring struct {
	Accept string `header:"Accept" hidden:"true"`
	Body   api.AcquireRequest
	answer huma.Context
}

// Resolve keeps the context that the answer is written to.
func (a *acquiring) Resolve(c huma.Context) []error {
	a.answer = c
	return nil
}

// acquire serves a request for leases: it builds the request, lets the engine serve it, and gives
// the leases back if the answer cannot be delivered.
func (s *leases) acquire(ctx context.Context, in *acquiring) (*huma.StreamResponse, error) {
	req, err := s.requestFrom(ctx, in.Body)
	request.About(ctx, req.Project, req.Source)
	request.Because(ctx, req.Purpose)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &follower{s: s, in: in, end: &ending{when: s.ending, giveUp: cancel}}
	defer f.over(taken{err: errGone}) // when the engine panics
	req.Notify = f.hear
	leases, err := s.once.Take(ctx, req)
	s.ring()
	t := taken{leases, err}
	if f.over(t) {
		return &huma.StreamResponse{Body: func(huma.Context) {}}, nil
	}
	t.err = f.end.cause(t.err)
	if t.err != nil {
		return nil, t.err
	}
	// the client has gone, and nobody else would give the leases back
	if err := ctx.Err(); err != nil {
		s.once.GiveBack(ctx, t.leases)
		return nil, err
	}
	doc, err := s.withTokens(ctx, idempotency.Answer(t.leases, in.Body.Count != nil), t.leases, in.Body.Token)
	if err != nil {
		s.once.GiveBack(ctx, t.leases)
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "application/json")
		if in.Body.Token {
			c.SetHeader("Cache-Control", "no-store")
		}
		c.SetStatus(http.StatusCreated)
		if err := json.NewEncoder(c.BodyWriter()).Encode(doc); err != nil {
			s.once.GiveBack(ctx, t.leases)
		}
	}}, nil
}

// requestFrom builds the engine's request from the document, or refuses it.
func (s *leases) requestFrom(ctx context.Context, doc api.AcquireRequest) (compute.Request, error) {
	p := request.Caller(ctx)
	req := doc.Compute()
	refusal := func(kind error, text, hint string) error {
		return &compute.Error{ID: compute.ID(req.Source), Kind: kind, Err: errors.New(text), Hint: hint}
	}
	req.Own = p.Own && p.Admin() // a token with fewer permissions is not the owner
	if req.Owner == "" {
		req.Owner = p.Name
	}
	delete(req.Labels, api.KeyLabel)
	if mark, ok := idempotency.Mark(ctx); ok {
		if req.Labels = maps.Clone(req.Labels); req.Labels == nil {
			req.Labels = map[string]string{}
		}
		req.Labels[api.KeyLabel] = mark
	}
	if req.Project == "" {
		home, ok := p.Home(auth.Take)
		if !ok && p.Somewhere(auth.Take) {
			names, _ := p.Projects(auth.Take)
			return req, refusal(compute.ErrInvalid, "you are in several projects: which is it for?", "name one: "+strings.Join(names, ", "))
		}
		req.Project = home
	}
	if doc.Token && s.tokens.ring == nil {
		return req, refusal(compute.ErrInvalid, "this controller keeps no tokens", "")
	}
	if req.Count < 1 {
		return req, refusal(compute.ErrInvalid, "count: at least one is to be asked for", "")
	}
	if err := api.CheckRequest(unmarked(req)); err != nil {
		return req, err
	}
	if s.rules.Sources != nil {
		if err := api.CheckFree(ctx, req.Name, s.rules.Sources, s.engine().Resolve); err != nil {
			return req, err
		}
	}
	if doc.For != nil && !p.Here {
		return req, refusal(
			compute.ErrInvalid, "for names a process of the controller's machine, and you are elsewhere",
			"give idle, and say in time that the lease is used",
		)
	}
	req.Still = func() error { return s.rules.MayTake(p, req) }
	return req, req.Still()
}

// unmarked returns a request without the internal label.
func unmarked(req compute.Request) compute.Request {
	req.Labels = api.ShownLabels(req.Labels)
	return req
}

// errGone is the error of a stream whose request did not finish.
var errGone = errors.New("the request came to no end")

// follower reports the progress of a request from its first report on; most requests are answered
// before. If the client accepts an event stream, the follower writes it.
type follower struct {
	s   *leases
	in  *acquiring
	end *ending

	mu    sync.Mutex
	past  bool // the request has ended
	told  chan compute.Progress
	done  chan taken
	ended chan struct{} // closed when follow returns; nil: it was not started
	spoke bool          // the stream has the answer; read it after ended is closed
}

// hear takes a progress report of the engine. It does not block.
func (f *follower) hear(p compute.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.past:
	case f.ended != nil:
		stream.Newest(f.told, p)
	default:
		f.told, f.done, f.ended = make(chan compute.Progress, 16), make(chan taken, 1), make(chan struct{})
		go f.follow(p) // ends with the request, which waits for it
	}
}

// over ends the follower, and reports whether it has written the answer.
func (f *follower) over(t taken) bool {
	f.mu.Lock()
	again := f.past
	f.past = true
	f.mu.Unlock()
	if f.ended == nil || again {
		return f.spoke
	}
	f.done <- t
	<-f.ended
	return f.spoke
}

func (f *follower) follow(p compute.Progress) {
	defer close(f.ended)
	f.end.at(p)
	if f.spoke = strings.Contains(f.in.Accept, api.EventStream); f.spoke {
		f.s.tellProgress(f.in.answer, p, f.told, f.done, f.end, f.in.Body)
		return
	}
	for {
		select {
		case <-f.done:
			return
		case <-f.end.when:
			f.end.begins()
		case p := <-f.told:
			f.end.at(p)
		}
	}
}

// ending cancels a request that waits in the queue when the controller is about to end. A request
// whose instances are being made goes on.
type ending struct {
	when    <-chan struct{} // closed before the controller ends; nil: never, or it has begun
	giveUp  func()
	begun   bool
	waiting bool
	given   bool // giveUp was called
}

// at notes how far the request has come.
func (e *ending) at(p compute.Progress) {
	e.waiting = p.Phase == "wait"
	e.look()
}

func (e *ending) begins() {
	e.begun, e.when = true, nil
	e.look()
}

func (e *ending) look() {
	if e.begun && e.waiting && !e.given {
		e.given = true
		e.giveUp()
	}
}

// cause returns the error to report: a request cancelled here says that the controller is stopping.
func (e *ending) cause(err error) error {
	if err != nil && e.given {
		return &compute.Error{
			Kind: compute.ErrUnavailable, Err: errors.New("the controller is being stopped"),
			Hint: "ask again in a moment",
		}
	}
	return err
}

// tellProgress writes progress events and then the result. If the client has gone by then, the
// leases are given back.
func (s *leases) tellProgress(
	c huma.Context, p compute.Progress, told <-chan compute.Progress, done <-chan taken, end *ending,
	asked api.AcquireRequest,
) {
	c.SetHeader("Content-Type", api.EventStream)
	c.SetHeader("Cache-Control", "no-store")
	c.SetStatus(http.StatusOK)
	out := stream.New(c)
	ok := out.Event("", api.EventProgress, api.NewProgress(p))
	quiet := time.NewTimer(stream.Lull())
	defer quiet.Stop()
	for {
		if !ok {
			end.giveUp()
			if t := <-done; t.err == nil {
				s.once.GiveBack(c.Context(), t.leases)
			}
			return
		}
		select {
		case <-end.when:
			end.begins()
		case p := <-told:
			end.at(p)
			ok = out.Event("", api.EventProgress, api.NewProgress(p))
		case <-quiet.C:
			ok = out.Say([]byte(": \n\n"))
			quiet.Reset(stream.Lull())
		case t := <-done:
			s.tellEnd(c, out, t, end, asked)
			return
		}
	}
}

// tellEnd writes the result of a request as the last event. The leases are given back if it does
// not reach the client.
func (s *leases) tellEnd(c huma.Context, out stream.Stream, t taken, end *ending, asked api.AcquireRequest) {
	doc, err := api.Acquired{}, end.cause(t.err)
	if err == nil {
		if doc, err = s.withTokens(c.Context(), idempotency.Answer(t.leases, asked.Count != nil), t.leases, asked.Token); err != nil {
			s.once.GiveBack(c.Context(), t.leases)
		}
	}
	switch {
	case err != nil:
		// nobody is left to tell
		_ = out.Event("", api.EventProblem, s.errors.Problem(c.Context(), err))
	case c.Context().Err() != nil || !out.Last(api.EventAcquired, doc):
		s.once.GiveBack(c.Context(), t.leases)
	}
}

// withTokens adds the leases' own tokens to an answer, if wanted. They are removed from the answer
// that is kept for a repeated request.
func (s *leases) withTokens(ctx context.Context, doc api.Acquired, leases []compute.Lease, wanted bool) (api.Acquired, error) {
	if len(leases) > 0 {
		request.About(ctx, leases[0].Project, names(leases)...)
	}
	if !wanted {
		return doc, nil
	}
	for i, l := range leases {
		secret, _, err := s.tokens.leaseToken(ctx, l, false)
		if err != nil {
			return doc, err
		}
		idempotency.Hide(ctx, secret)
		if i == 0 {
			doc.Token = secret
		}
		if doc.Leases != nil {
			if doc.Tokens == nil {
				doc.Tokens = map[string]string{}
			}
			doc.Tokens[l.ID] = secret
		}
	}
	return doc, nil
}

func names(leases []compute.Lease) []string {
	out := make([]string, len(leases))
	for i, l := range leases {
		out[i] = string(l.Instance)
	}
	return out
}
