package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
)

// Engine is what the API is of.
type Engine interface {
	compute.Leaser
	Book
	Owner
	Line
	// Slot waits for one of the places that the instance's source gives to commands at once, and
	// takes it until free is called. detached counts those that have nobody who took theirs.
	Slot(ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) (free func(), err error)
}

// Book tells what there is.
type Book interface {
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
	Instances(ctx context.Context, q compute.InstanceQuery) ([]compute.Instance, error)
	Leases(ctx context.Context, q compute.LeaseQuery) ([]compute.Lease, error)
	Events(ctx context.Context, q compute.EventQuery) ([]compute.Event, error)
	Status(ctx context.Context) ([]compute.SourceStatus, error)
}

// Owner is for those who look after the instances.
type Owner interface {
	Fill(ctx context.Context, names ...string) ([]compute.ID, error)
	Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error
	Test(ctx context.Context, name string) (compute.TestResult, error)
	Leaf(ctx context.Context, id compute.ID) (compute.Instance, error)
}

// Options join a server to its surroundings. All but Private, Memory, Work, Ending, Foresight,
// Slap, Log and Ring are required.
type Options struct {
	Engine  func() Engine // the newest, as configurations change
	Version string        // of hostler
	// Authenticate says who makes a request. An error of kind compute.ErrDenied: nobody whom we
	// know.
	Authenticate func(r *http.Request) (auth.Principal, error)
	// Identity tells this controller from others.
	Identity func() api.Identity
	// Limited tells for which projects alone a source is; nil: for all. nil itself: all sources are
	// for all.
	Limited func(source string) []string
	// Audit keeps who did what; nil: nobody does.
	Audit Audit
	// Limits says how often somebody may ask; nil: as is usual.
	Limits *auth.Limits
	// Tokens makes tokens and knows them; nil: there are none.
	Tokens Tokens
	// Projects tells which projects there are; nil: nobody knows.
	Projects func() []string
	// Sources tells whether there is a source of that name; nil: nobody knows.
	Sources func(name string) bool
	// Private says that what a source makes of an image ("": of its own) is for the controller's
	// own user alone; nil: nothing is.
	Private func(source, image string) bool
	// Ready says why requests cannot be served now; nil: they can.
	Ready func(ctx context.Context) error
	// SignIn is how people sign in now, and Sessions makes their tokens. nil: they do not.
	SignIn   func() SignIn
	Sessions Sessions
	// Spend notes that a proof was shown; the second time it is compute.ErrDenied. nil: a proof is
	// good until it is old.
	Spend func(ctx context.Context, proof string) error
	// Reload has the configuration read anew, and tells what of it is broken. After an error
	// nothing has changed.
	Reload func(ctx context.Context) (api.Reloaded, error)
	// Memory keeps what was answered to requests with the header Idempotency-Key. nil: such keys
	// mean nothing.
	Memory Memory
	// Work does what is due, such as ending leases that are over, and returns when that is done.
	// nil: what is due is done in time anyway.
	Work func(ctx context.Context) error
	// Ending is closed when the controller is about to end: streams of events end, and so do
	// requests that wait in the queue. nil: it never is.
	Ending <-chan struct{}
	// Foresight tells what is done ahead of need. nil: nobody knows.
	Foresight Foresight
	// Ring is called when a request may have left something to do. It must not block. nil: nobody
	// needs that.
	Ring func()
	// Webhooks are the receivers of events now; nil: there are no such paths.
	Webhooks func() Webhooks
	// Applied is what was applied; nil: there are no such paths.
	Applied Applied
	// Slap is the SlapOS master that this controller is; nil, or one that returns nil: it is none.
	Slap func() Slap
	// Metrics answers scrapes of /metrics; nil: there is no such path.
	Metrics http.Handler
	// Observe hears of each request, by the method and path that are described, "none" for what is
	// not. nil: nobody does. It must not block.
	Observe func(method, route string, status int, took time.Duration)
	// Tracer makes the spans of requests; nil: there are none.
	Tracer *trace.Tracer
	Log    *slog.Logger // nil: none
}

// The sizes that a request may have.
const (
	maxBody   = 1 << 20 // bytes
	maxHeader = 64 << 10
)

type server struct {
	Options
	api     huma.API
	relay   relayFunc // nil: requests are served here
	flights flights
	given   given
	tail    tail

	underway  underway
	readiness readiness
	entering  chan struct{} // has as many slots as sign-ins may be under way
	leaving   chan struct{} // the same of browsers that are to be sent to the provider

	refused   refused      // limits what the audit log has of refusals
	strangers refused      // the same of strangers
	missed    atomic.Int64 // refusals that it has not
}

// New returns the handler of the API.
func New(opt Options) http.Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Ring == nil {
		opt.Ring = func() {}
	}
	s, mux := build(opt, nil)
	return s.see(mux, s.guard(mux, unlessRefused(asJSON(s.once(mux)))))
}

// build adds all operations to a server.
func build(opt Options, relay relayFunc) (*server, *http.ServeMux) {
	ourErrors()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("hostler", opt.Version)
	config.Info.Description = "Hostler keeps computers ready: take a lease on an instance of a source, use the instance, give the lease back."
	config.Formats = exactFormats()
	config.CreateHooks = nil // no $schema in our documents
	// a filter with a wrong letter is not to list, or to release, more than is meant
	config.RejectUnknownQueryParameters = true
	config.DocsPath, config.SchemasPath = "", ""
	if relay != nil {
		config.OpenAPIPath = ""
	}
	config.Servers = []*huma.Server{{URL: "/"}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}}
	if opt.Limits == nil {
		opt.Limits = auth.NewLimits(auth.LimitOptions{})
	}
	s := &server{
		Options: opt, api: humago.New(mux, config), relay: relay, refused: newRefused(), strangers: newStrangers(),
		tail: tail{engine: opt.Engine},
	}
	s.underway.look = s.still
	s.leases()
	s.givingUp()
	s.instances()
	s.sources()
	s.queue()
	s.events()
	s.connections(mux)
	s.terminals(mux)
	s.foresight()
	s.self()
	s.tokens()
	s.audits()
	s.metrics(mux)
	s.hooks()
	s.applied()
	s.slap()
	s.login(mux)
	s.describe()
	if relay == nil {
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
		mux.HandleFunc("GET /readyz", s.ready)
	}
	mux.HandleFunc(nowhere, func(w http.ResponseWriter, r *http.Request) {
		if allowed := methods(mux, r); len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			p := s.problem(
				r.Context(),
				&compute.Error{
					Kind: compute.ErrInvalid,
					Err:  errors.New(r.Method + " " + r.URL.Path + ": this path takes " + strings.Join(allowed, ", ")),
				},
			)
			p.Title, p.Status = http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed
			answerProblem(w, p)
			return
		}
		s.refuse(
			w, r,
			&compute.Error{
				Kind: compute.ErrNotFound, Err: errors.New(r.Method + " " + r.URL.Path + ": no such path"),
				Hint: "GET /openapi.json has them all",
			},
		)
	})
	return s, mux
}

// Serve serves what comes on a listener until ctx ends; then it waits, so long at most, for the
// requests that are being served. It gives srv the limits that it should have, and closes the
// listener.
func Serve(ctx context.Context, srv *http.Server, l net.Listener, grace time.Duration) error {
	srv.MaxHeaderBytes = maxHeader
	srv.ReadHeaderTimeout = 10 * time.Second
	srv.IdleTimeout = 2 * time.Minute
	srv.Handler = timely(srv.Handler)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := srv.Shutdown(short)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-done
	return err
}
