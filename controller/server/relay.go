package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// relayFunc has a request answered elsewhere. body is what the request's operation takes, written
// anew from its Go type; nil: it takes nothing.
type relayFunc func(w http.ResponseWriter, r *http.Request, body []byte)

// Checked returns the handler of a process that has no engine. It knows the same operations as New,
// refuses what none of them takes in the same words, and relays the rest. Who asks, and whether the
// caller may, it does not judge.
func Checked(version string, relay relayFunc) http.Handler {
	type applied = Applied
	s, mux := build(Options{ // parts whose operations are there, and that are never asked
		Version: version, Log: slog.New(slog.DiscardHandler), Metrics: http.NotFoundHandler(),
		Audit: struct{ Audit }{}, Tokens: struct{ Tokens }{}, Webhooks: func() Webhooks { return nil }, Applied: struct{ applied }{},
	}, relay)
	for path := range open {
		raw(s, mux, "GET "+path, nil)
	}
	next := asJSON(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		r.Header.Set(RequestHeader, id)
		w.Header().Set(RequestHeader, id)
		next.ServeHTTP(w, r)
	})
}

// register adds an operation. Where requests are relayed they are decoded and checked first as they
// are where they are served.
func register[I, O any](s *server, op huma.Operation, act func(context.Context, *I) (*O, error)) {
	if s.relay == nil {
		huma.Register(s.api, op, act)
		return
	}
	huma.Register(s.api, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		var body []byte
		if of := reflect.ValueOf(in).Elem().FieldByName("Body"); of.IsValid() {
			var err error
			if body, err = json.Marshal(of.Interface()); err != nil {
				return nil, huma.NewError(http.StatusUnprocessableEntity, err.Error())
			}
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			s.relay(w, r, body)
		}}, nil
	})
}

// raw adds a path whose requests have no body that is read.
func raw(s *server, mux *http.ServeMux, pattern string, act http.HandlerFunc) {
	if s.relay != nil {
		act = func(w http.ResponseWriter, r *http.Request) { s.relay(w, r, nil) }
	}
	mux.HandleFunc(pattern, act)
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
