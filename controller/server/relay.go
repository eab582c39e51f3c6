package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// Checked returns the handler of a process that has no engine. It knows the same operations as New,
// refuses what none of them takes in the same words, and relays the rest. Who asks, and whether the
// caller may, it does not judge. kinds says what a request of each operation may have.
func Checked(version string, relay route.Relay) (_ http.Handler, kinds *Kinds) {
	type applied = Applied
	opt := Options{ // parts whose operations are there, and that are never asked
		Version: version, Telemetry: Telemetry{Log: slog.New(slog.DiscardHandler), Metrics: http.NotFoundHandler()},
		Callers:  Callers{Audit: struct{ access.Log }{}, Tokens: struct{ Tokens }{}},
		Webhooks: func() Webhooks { return nil }, Applied: struct{ applied }{},
	}
	s := build(opt, relay)
	s.table.RelayOpen()
	next := asJSON(s.table)
	kinds = &Kinds{table: s.table, operations: map[string]*huma.Operation{}}
	for path, op := range s.table.Operations {
		kinds.operations[op.Method+" "+path] = op
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := request.IDOf(r)
		r = r.WithContext(request.WithID(r.Context(), id))
		r.Header.Set(request.Header, id)
		w.Header().Set(request.Header, id)
		next.ServeHTTP(w, r)
	}), kinds
}

// Kinds are the operations by what their requests may have.
type Kinds struct {
	table      *route.Table
	operations map[string]*huma.Operation // by pattern; read only
}

// MostBody says how many bytes of a request's body its operation reads at most.
func (k *Kinds) MostBody(r *http.Request) int64 {
	if op := k.operations[k.table.Pattern(r)]; op != nil && op.MaxBodyBytes != 0 {
		return op.MaxBodyBytes
	}
	return route.MaxBody
}

// Upgrades reports whether a request asks for another protocol, at a path that has one.
func (k *Kinds) Upgrades(r *http.Request) bool {
	op := k.operations[k.table.Pattern(r)]
	return op != nil && op.Responses["101"] != nil && r.ContentLength == 0 && request.WantsSocket(r)
}

// Bodies are the operations that read a body, as METHOD PATH.
func (k *Kinds) Bodies() (out []string) {
	for pattern, op := range k.operations {
		if op.RequestBody != nil {
			out = append(out, pattern)
		}
	}
	slices.Sort(out)
	return out
}

// RefusedHeader stands in the answer to a request that was refused before it came here, when there
// is nothing else to say to its caller.
const RefusedHeader = "Hostler-Refused"

type refusedKey struct{}

// Refused says that a request was refused before it came here, with this status. It is known,
// limited and recorded as others are, and not served.
func Refused(ctx context.Context, status int) context.Context {
	return context.WithValue(ctx, refusedKey{}, status)
}

// IsRefused reports whether a request was refused before it came here.
func IsRefused(r *http.Request) bool { return r.Context().Value(refusedKey{}) != nil }

// WasRefused answers a request that was refused before it came here, and tells whether it was.
func WasRefused(w http.ResponseWriter, r *http.Request) bool {
	status, refused := r.Context().Value(refusedKey{}).(int)
	if refused {
		w.Header().Set(RefusedHeader, "true")
		w.WriteHeader(status)
	}
	return refused
}

// unlessRefused serves what was not refused before.
func unlessRefused(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !WasRefused(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}
