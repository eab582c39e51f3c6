package server

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// Checked returns the handler of a process that has no engine. It knows the same operations as New,
// refuses what none of them takes in the same words, and relays the rest. Who asks, and whether the
// caller may, it does not judge.
func Checked(version string, relay route.Relay) http.Handler {
	type applied = Applied
	opt := Options{ // parts whose operations are there, and that are never asked
		Version: version, Telemetry: Telemetry{Log: slog.New(slog.DiscardHandler), Metrics: http.NotFoundHandler()},
		Callers:  Callers{Audit: struct{ access.Log }{}, Tokens: struct{ Tokens }{}},
		Webhooks: func() Webhooks { return nil }, Applied: struct{ applied }{},
	}
	s := build(opt, relay)
	s.table.RelayOpen()
	next := asJSON(s.table)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := request.IDOf(r)
		r = r.WithContext(request.WithID(r.Context(), id))
		r.Header.Set(request.Header, id)
		w.Header().Set(request.Header, id)
		next.ServeHTTP(w, r)
	})
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

// unlessRefused serves what was not refused before.
func unlessRefused(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, refused := r.Context().Value(refusedKey{}).(int)
		if !refused {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set(RefusedHeader, "true")
		w.WriteHeader(status)
	})
}
