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

// Engine is what the API serves.
type Engine interface {
	compute.Leaser
	Book
	Owner
	Line
	// Slot waits for one of the slots that the instance's source has for concurrent commands. The
	// slot is taken until free is called. detached counts running commands that hold no slot.
	Slot(ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) (free func(), err error)
}

// Book reads what there is.
type Book interface {
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
	Instances(ctx context.Context, q compute.InstanceQuery) ([]compute.Instance, error)
	Leases(ctx context.Context, q compute.LeaseQuery) ([]compute.Lease, error)
	Events(ctx context.Context, q compute.EventQuery) ([]compute.Event, error)
	Status(ctx context.Context) ([]compute.SourceStatus, error)
}

// Owner is for operators of the instances.
type Owner interface {
	Fill(ctx context.Context, names ...string) ([]compute.ID, error)
	Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error
	Test(ctx context.Context, name string) (compute.TestResult, error)
	Leaf(ctx context.Context, id compute.ID) (compute.Instance, error)
}

// Options connect a server to its surroundings. Fields without a "nil:" are required.
type Options struct {
	Engine  func() Engine // the newest, as configurations change
	Version string        // of hostler
	// Authenticate returns the caller of a request. compute.ErrDenied: the caller is not known.
	Authenticate func(r *http.Request) (auth.Principal, error)
	// Identity tells this controller from others.
	Identity func() api.Identity
	// Limited returns the projects that a source is limited to; nil: not limited. A nil Limited: no
	// source is.
	Limited func(source string) []string
	// Audit keeps the audit log; nil: none.
	Audit Audit
	// Limits says how often callers may ask; nil: the defaults.
	Limits *auth.Limits
	// Tokens makes and lists tokens; nil: none.
	Tokens Tokens
	// Projects returns the names of all projects; nil: names are not checked.
	Projects func() []string
	// Sources reports whether a source exists; nil: names are not checked.
	Sources func(name string) bool
	// Private reports whether instances of a source with an image ("": the source's own) are only
	// for the controller's own user; nil: none are.
	Private func(source, image string) bool
	// Ready returns why requests cannot be served now, or nil. It is required for /readyz.
	Ready func(ctx context.Context) error
	// SignIn says how people sign in, and Sessions makes their tokens. nil: they do not.
	SignIn   func() SignIn
	Sessions Sessions
	// Spend notes that a proof was presented. The second time it fails with compute.ErrDenied. nil:
	// a proof is valid until it is too old.
	Spend func(ctx context.Context, proof string) error
	// Reload reads the configuration again and returns which sources are broken. After an error
	// nothing has changed.
	Reload func(ctx context.Context) (api.Reloaded, error)
	// Memory keeps the answers to requests with Idempotency-Key. nil: the header is ignored.
	Memory Memory
	// Work does what is due, such as ending expired leases, and returns when it is done. nil: it is
	// done in time anyway.
	Work func(ctx context.Context) error
	// Ending is closed when the controller is about to end. Event streams and waiting requests then
	// end. nil: never.
	Ending <-chan struct{}
	// Foresight reports plans and history. nil: those routes fail.
	Foresight Foresight
	// Ring is called when a request may have left work to do. It must not block. nil: nothing is
	// called.
	Ring func()
	// Webhooks returns the current receivers of events; nil: there are no such paths.
	Webhooks func() Webhooks
	// Applied lists and changes applied things; nil: there are no such paths.
	Applied Applied
	// Slap returns the SlapOS master of this controller; nil, or nil returned: there is none.
	Slap func() Slap
	// Metrics answers scrapes of /metrics; nil: there is no such path.
	Metrics http.Handler
	// Observe is called for each request with its method and route; a request without a route has
	// "none". It must not block. nil: nothing is called.
	Observe func(method, route string, status int, took time.Duration)
	// Tracer makes the spans of requests; nil: none.
	Tracer *trace.Tracer
	Log    *slog.Logger // nil: none
}

// Limits on the size of a request.
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
	entering  chan struct{} // one slot for each sign-in at once
	leaving   chan struct{} // one slot for each browser being sent to the provider

	refused   refused      // limits failures in the audit log
	strangers refused      // the same for unknown callers
	missed    atomic.Int64 // failures left out of the audit log since the last entry
}

// New returns the handler of the API. Requests pass see, guard, asJSON and once before their route.
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

// build makes a server and adds all routes.
func build(opt Options, relay relayFunc) (*server, *http.ServeMux) {
	ourErrors()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("hostler", opt.Version)
	config.Info.Description = "Hostler keeps computers ready: take a lease on an instance of a source, use the instance, give the lease back."
	config.Formats = exactFormats()
	config.CreateHooks = nil // no $schema in answers
	// a misspelt filter must not list or release more than is meant
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

// Serve serves a listener until ctx ends, then waits at most grace for the requests in progress. It
// sets the limits of srv and closes the listener.
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
