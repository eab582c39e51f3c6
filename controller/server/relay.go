package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"

	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// Checked returns the handler of a process that has no engine. It knows the same operations as New,
// refuses what none of them takes in the same words, and relays the rest. Who asks, and whether the
// caller may, it does not judge. mostBody says how many bytes of a request's body it reads at most.
func Checked(version string, relay route.Relay) (_ http.Handler, mostBody func(*http.Request) int64) {
	type applied = Applied
	opt := Options{ // parts whose operations are there, and that are never asked
		Version: version, Telemetry: Telemetry{Log: slog.New(slog.DiscardHandler), Metrics: http.NotFoundHandler()},
		Callers:  Callers{Audit: struct{ access.Log }{}, Tokens: struct{ Tokens }{}},
		Webhooks: func() Webhooks { return nil }, Applied: struct{ applied }{},
	}
	s := build(opt, relay)
	s.table.RelayOpen()
	next, most := asJSON(s.table), map[string]int64{}
	for path, op := range s.table.Operations {
		most[op.Method+" "+path] = op.MaxBodyBytes
	}
	mostBody = func(r *http.Request) int64 { return cmp.Or(most[s.table.Pattern(r)], route.MaxBody) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := request.IDOf(r)
		r = r.WithContext(request.WithID(r.Context(), id))
		r.Header.Set(request.Header, id)
		w.Header().Set(request.Header, id)
		next.ServeHTTP(w, r)
	}), mostBody
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
