// Package route is the table of the API's operations. Each declares the permission that its caller
// needs; package access judges by the declarations, and refuses a route that has none.
package route

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/request"
)

// Nowhere is the pattern that matches every path without a route.
const Nowhere = "/"

// MaxBody is the largest body of most requests, in bytes.
const MaxBody = 1 << 20

// A Relay has a request answered elsewhere. body is what the request's operation takes, written
// anew from its Go type; nil: it takes nothing.
type Relay func(w http.ResponseWriter, r *http.Request, body []byte)

// Table holds the routes of the API.
type Table struct {
	API    huma.API
	mux    *http.ServeMux
	errors request.Errors
	relay  Relay // nil: requests are served here
}

// New returns a table without routes. With a relay, requests are checked here and served elsewhere.
func New(config huma.Config, errors request.Errors, relay Relay) *Table {
	request.SetUp()
	mux := http.NewServeMux()
	return &Table{API: humago.New(mux, config), mux: mux, errors: errors, relay: relay}
}

// permission is the extension of an operation's description that names the permission of its route.
const permission = "x-permission"

// Needs declares the permission that a route needs, as in Extensions: route.Needs(auth.See). Every
// operation needs it.
func Needs(p auth.Permission) map[string]any { return map[string]any{permission: p} }

// Add adds an operation. An error is answered as a problem. Where requests are relayed they are
// decoded and checked first as they are where they are served.
func Add[I, O any](t *Table, op huma.Operation, act func(context.Context, *I) (*O, error)) {
	if t.relay == nil {
		huma.Register(t.API, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := act(ctx, in)
			return out, t.errors.Fault(ctx, err)
		})
		return
	}
	huma.Register(t.API, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		var body []byte
		if of := reflect.ValueOf(in).Elem().FieldByName("Body"); of.IsValid() {
			var err error
			if body, err = json.Marshal(of.Interface()); err != nil {
				return nil, huma.NewError(http.StatusUnprocessableEntity, err.Error())
			}
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			t.relay(w, r, body)
		}}, nil
	})
}

// AddRaw adds an operation that huma does not serve, such as a WebSocket. No body of its requests
// is read.
func (t *Table) AddRaw(op *huma.Operation, act http.HandlerFunc) {
	t.handle(op.Method+" "+op.Path, act)
	t.API.OpenAPI().AddOperation(op)
}

// open holds the paths outside the API that anybody may ask for.
var open = []string{
	"/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml", "/healthz", "/readyz",
}

// IsOpen reports whether anybody may ask for a path, without a permission.
func IsOpen(path string) bool { return slices.Contains(open, path) }

// Open serves a path that anybody may ask for.
func (t *Table) Open(path string, act http.HandlerFunc) {
	if !IsOpen(path) {
		panic(path + " is not open to everybody")
	}
	t.handle("GET "+path, act)
}

// RelayOpen relays the paths that anybody may ask for.
func (t *Table) RelayOpen() {
	for _, path := range open {
		t.handle("GET "+path, nil)
	}
}

// Otherwise serves the paths without a route.
func (t *Table) Otherwise(act http.HandlerFunc) { t.mux.HandleFunc(Nowhere, act) }

// ServeHTTP serves a request by its route.
func (t *Table) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.mux.ServeHTTP(w, r) }

func (t *Table) handle(pattern string, act http.HandlerFunc) {
	if t.relay != nil {
		act = func(w http.ResponseWriter, r *http.Request) { t.relay(w, r, nil) }
	}
	t.mux.HandleFunc(pattern, act)
}

// Schema describes a type by a name.
func (t *Table) Schema(of reflect.Type, name string) *huma.Schema {
	return t.API.OpenAPI().Components.Schemas.Schema(of, true, name)
}

// Operations returns all operations, by path.
func (t *Table) Operations(yield func(path string, op *huma.Operation) bool) {
	for path, item := range t.API.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Options, item.Head, item.Patch, item.Trace} {
			if op != nil && !yield(path, op) {
				return
			}
		}
	}
}

// Rule is what a route declares.
type Rule struct {
	Needs     auth.Permission
	Operation string // its id
	Act       bool   // it belongs in the audit log
}

// RuleOf returns what an operation declares; not ok: it declares no permission.
func RuleOf(op *huma.Operation) (Rule, bool) {
	p, ok := op.Extensions[permission].(auth.Permission)
	if !ok || !p.Single() {
		return Rule{}, false
	}
	return Rule{p, op.OperationID, isAct(op, p)}, true
}

// isAct reports whether an operation belongs in the audit log. "use" does not, as clients send it
// every few seconds.
func isAct(op *huma.Operation, what auth.Permission) bool {
	return what == auth.Use && op.OperationID != "use" || op.Method != http.MethodGet && op.OperationID != "use"
}

// Rules returns what each route declares, by the patterns of the mux.
func (t *Table) Rules() map[string]Rule {
	out := map[string]Rule{}
	for path, op := range t.Operations {
		if rule, ok := RuleOf(op); ok {
			out[strings.ToUpper(op.Method)+" "+path] = rule
		}
	}
	return out
}

type patternKey struct{}

// WithPattern returns a context with the pattern of a request's route.
func WithPattern(ctx context.Context, pattern string) context.Context {
	return context.WithValue(ctx, patternKey{}, pattern)
}

// Pattern returns the pattern of the mux that matches a request. It is looked up once.
func (t *Table) Pattern(r *http.Request) string {
	if pattern, ok := r.Context().Value(patternKey{}).(string); ok {
		return pattern
	}
	_, pattern := t.mux.Handler(r)
	return pattern
}

// Methods returns the methods that a path takes, sorted; none: there is no such path.
func (t *Table) Methods(r *http.Request) (out []string) {
	for _, m := range []string{http.MethodDelete, http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := t.mux.Handler(other); pattern != Nowhere && pattern != "" {
			out = append(out, m)
		}
	}
	if slices.Contains(out, http.MethodGet) {
		out = append(out, http.MethodHead)
		slices.Sort(out)
	}
	return out
}
