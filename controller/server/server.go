package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/connect"
	"github.com/hostler-project/hostler/controller/server/idempotency"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/controller/server/stream"
	"github.com/hostler-project/hostler/observe/trace"
)

// Engine is what the API serves.
type Engine struct {
	compute.Leaser
	inventory.Book
	inventory.Operator
	inventory.Waiters
	Slots
}

// Slots gives commands their turns where a source limits how many run at once.
type Slots interface {
	// Slot waits for one of the slots that the instance's source has for concurrent commands. The
	// slot is taken until free is called. detached counts running commands that hold no slot.
	Slot(ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) (free func(), err error)
}

// Options connect a server to its surroundings. Engine, Identity, Callers.Authenticate, Life.Ready
// and Life.Reload are required; what else is nil is left out.
type Options struct {
	Engine    func() Engine       // the newest, as configurations change
	Version   string              // of hostler
	Identity  func() api.Identity // tells this controller from others
	Callers   Callers
	Scope     access.Scope
	Lifecycle Lifecycle
	// Replies keeps the answers to requests with Idempotency-Key. nil: the header is ignored.
	Replies   idempotency.Store
	Telemetry Telemetry

	Planner  Planner
	Webhooks func() Webhooks // the current receivers of events
	Applied  Applied
	Slap     func() Slap // the SlapOS master of this controller; nil returned: there is none
}

// Callers say who may ask, and how often.
type Callers struct {
	// Authenticate returns the caller of a request. compute.ErrDenied: the caller is not known.
	Authenticate func(r *http.Request) (auth.Principal, error)
	Limits       *auth.Limits // how often callers may ask; nil: the defaults
	Audit        access.Log   // keeps the audit log
	Tokens       Tokens       // makes and lists tokens
	// SignIn says how people sign in, and Sessions makes their tokens.
	SignIn   func() login.SignIn
	Sessions login.Sessions
	// Spend notes that a proof was presented. The second time it fails with compute.ErrDenied. nil:
	// a proof is valid until it is too old.
	Spend func(ctx context.Context, proof string) error
}

// Lifecycle is the life of the controller that the server is part of.
type Lifecycle struct {
	// Ready returns why requests cannot be served now, or nil.
	Ready func(ctx context.Context) error
	// Reload reads the configuration again and returns which sources are broken. After an error
	// nothing has changed.
	Reload func(ctx context.Context) (api.Reloaded, error)
	// Work does what is due, such as ending expired leases, and returns when it is done. nil: it is
	// done in time anyway.
	Work func(ctx context.Context) error
	// Ring is called when a request may have left work to do. It must not block.
	Ring func()
	// Ending is closed when the controller is about to end. Event streams and waiting requests then
	// end.
	Ending <-chan struct{}
}

// Telemetry is where requests can be seen.
type Telemetry struct {
	Metrics http.Handler // answers scrapes of /metrics; nil: there is no such path
	// Observe is called for each request with its method and route; a request without a route has
	// "none". It must not block.
	Observe func(method, route string, status int, took time.Duration)
	Tracer  *trace.Tracer // makes the spans of requests
	Log     *slog.Logger
}

const maxHeader = 64 << 10 // the largest header of a request, in bytes

// server is the API: its routes, and what requests pass before them.
type server struct {
	table *route.Table
	gate  *access.Gate
	once  *idempotency.Once
}

// New returns the handler of the API. Requests are observed, pass the gate, are taken as JSON, and
// are served once before their route.
func New(opt Options) http.Handler {
	if opt.Telemetry.Log == nil {
		opt.Telemetry.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Lifecycle.Ring == nil {
		opt.Lifecycle.Ring = func() {}
	}
	if opt.Callers.Limits == nil {
		opt.Callers.Limits = auth.NewLimits(auth.LimitOptions{})
	}
	s := build(opt, nil)
	return opt.Telemetry.observed(s.table, s.gate.Guard(s.table, unlessRefused(asJSON(s.once.Handler(s.table)))))
}

// build makes a server and adds all routes.
func build(opt Options, relay route.Relay) *server {
	errs, life := request.Errors{Log: opt.Telemetry.Log}, opt.Lifecycle
	table := route.New(apiConfig(opt.Version, relay != nil), errs, relay)
	rules := &access.Rules{Engine: func() access.Book { return opt.Engine() }, Scope: opt.Scope}
	audit := access.NewAudit(opt.Callers.Audit)
	once := idempotency.New(idempotency.Options{
		Engine: func() idempotency.Engine { return opt.Engine() }, Store: opt.Replies, Errors: errs, Ring: life.Ring,
	})
	tokens := &tokens{opt.Engine, rules, opt.Callers.Tokens}
	slapos := &slapos{opt.Slap, errs, life.Ending}
	for _, part := range []interface{ add(t *route.Table) }{
		&leases{opt.Engine, rules, once, tokens, errs, life.Ring, life.Ending},
		&instances{opt.Engine, rules},
		&sources{opt.Engine, rules, life.Ring},
		&queue{opt.Engine},
		&journal{engine: opt.Engine, rules: rules, errors: errs, ending: life.Ending, tail: tail{engine: opt.Engine}},
		&plans{opt.Engine, rules, opt.Planner},
		&self{opt.Version, opt.Identity, slapos, life},
		tokens, slapos,
		&audits{opt.Callers.Audit},
		&webhooks{opt.Webhooks},
		&things{opt.Applied},
		opt.Telemetry,
	} {
		part.add(table)
	}
	(&connect.Sockets{
		Engine: func() connect.Engine { return opt.Engine() }, Rules: rules, Audit: audit, Errors: errs,
	}).Add(table)
	login.New(login.Options{
		SignIn: opt.Callers.SignIn, Sessions: opt.Callers.Sessions, Spend: opt.Callers.Spend, Errors: errs,
	}).Add(table)
	describe(table)
	if relay == nil {
		table.Open("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
		table.Open("/readyz", (&readiness{errors: errs, check: life.Ready, ending: life.Ending}).ServeHTTP)
	}
	table.Otherwise(func(w http.ResponseWriter, r *http.Request) { refuseUnknown(table, errs, w, r) })
	return &server{table: table, once: once, gate: &access.Gate{
		Authenticate: opt.Callers.Authenticate, Limits: opt.Callers.Limits, Rules: rules, Audit: audit, Errors: errs,
	}}
}

// apiConfig returns huma's configuration. relayed: it does not serve the description itself.
func apiConfig(version string, relayed bool) huma.Config {
	config := huma.DefaultConfig("hostler", version)
	config.Info.Description = "Hostler keeps computers ready: take a lease on an instance of a source, use the instance, give the lease back."
	config.Formats = exactFormats()
	config.CreateHooks = nil // no $schema in answers
	// a misspelt filter must not list or release more than is meant
	config.RejectUnknownQueryParameters = true
	config.DocsPath, config.SchemasPath = "", ""
	if relayed {
		config.OpenAPIPath = ""
	}
	config.Servers = []*huma.Server{{URL: "/"}}
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}}
	return config
}

// schemaName names a type in the description. Programs that are made from it know the names, so a
// type that gets another name in Go keeps its own there.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[compute.Resources]() || t == reflect.TypeFor[*compute.Resources]() {
		return "Amount"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// refuseUnknown answers a request for a path without a route, or with a method that its path
// does not take.
func refuseUnknown(table *route.Table, errs request.Errors, w http.ResponseWriter, r *http.Request) {
	at := r.Method + " " + r.URL.Path
	allowed := table.Methods(r)
	if len(allowed) == 0 {
		errs.Refuse(w, r, &compute.Error{
			Kind: compute.ErrNotFound, Err: errors.New(at + ": no such path"), Hint: "GET /openapi.json has them all",
		})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	p := errs.Problem(r.Context(), &compute.Error{
		Kind: compute.ErrInvalid, Err: errors.New(at + ": this path takes " + strings.Join(allowed, ", ")),
	})
	p.Title, p.Status = http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed
	request.WriteProblem(w, p)
}

// Serve serves a listener until ctx ends, then waits at most grace for the requests in progress. It
// sets the limits of srv and closes the listener.
func Serve(ctx context.Context, srv *http.Server, l net.Listener, grace time.Duration) error {
	srv.MaxHeaderBytes = maxHeader
	srv.ReadHeaderTimeout = 10 * time.Second
	srv.IdleTimeout = 2 * time.Minute
	srv.Handler = stream.Timely(srv.Handler)
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
	if errors.Is(err, context.DeadlineExceeded) {
		err = ErrCutOff
	}
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-done
	return err
}

// ErrCutOff is the error of a server that ended while requests were still being answered.
var ErrCutOff = errors.New("requests that were not answered in time are cut off")
