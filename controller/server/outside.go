package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
)

// RequestHeader has the id of a request, in requests, answers and the log. It is the caller's id if
// that is a plain word, else a new one.
const RequestHeader = "X-Request-Id"

// metrics adds the route of the metrics.
func (s *server) metrics(mux *http.ServeMux) {
	if s.Metrics == nil {
		return
	}
	raw(s, mux, "GET /metrics", s.Metrics.ServeHTTP)
	s.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "metrics", Extensions: needs(auth.Meter), Method: http.MethodGet, Path: "/metrics",
		Summary: "Metrics of this controller", Tags: []string{"people"},
		Description: "In the text format of Prometheus.", Responses: map[string]*huma.Response{"200": {Description: "families of samples", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	})
}

type (
	requestKey struct{}
	routeKey   struct{}
)

// routeOf returns the pattern of the mux that matches a request. It is looked up once.
func routeOf(mux *http.ServeMux, r *http.Request) string {
	if pattern, ok := r.Context().Value(routeKey{}).(string); ok {
		return pattern
	}
	_, pattern := mux.Handler(r)
	return pattern
}

// log returns the log with the id of the request in ctx.
func (s *server) log(ctx context.Context) *slog.Logger {
	if id, ok := ctx.Value(requestKey{}).(string); ok {
		return s.Log.With("request", id)
	}
	return s.Log
}

// requestID returns the caller's id if it can stand in a log, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get(RequestHeader)
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c)
	}
	if id != "" && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool { return !plain(c) }) < 0 {
		return id
	}
	return fmt.Sprintf("%016x", rand.Uint64()) // it tells requests apart and needs no secrecy
}

// see gives each request an id and reports it to the metrics and traces, however it ends.
func (s *server) see(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin, id := time.Now(), requestID(r)
		w.Header().Set(RequestHeader, id)
		pattern := routeOf(mux, r)
		ctx := context.WithValue(context.WithValue(r.Context(), requestKey{}, id), routeKey{}, pattern)
		method, route, ok := strings.Cut(pattern, " ")
		if !ok {
			method, route = "", "none" // callers may invent paths and methods
		}
		var span *trace.Span
		// health checks and scrapes are not traced
		if s.Tracer != nil && ok && !open[route] && route != "/metrics" {
			parent, _ := trace.Parse(r.Header.Get("Traceparent"))
			ctx = trace.From(ctx, s.Tracer, parent, strings.Join(r.Header.Values("Tracestate"), ","))
			ctx, span = trace.StartKind(ctx, trace.Server, pattern, trace.Attr{
				Key: "http.request.method", Value: r.Method,
			}, trace.Attr{Key: "http.route", Value: route},
				trace.Attr{Key: "url.path", Value: r.URL.Path}, trace.Attr{Key: "hostler.request", Value: id})
		}
		seen := &answered{ResponseWriter: w}
		defer func() {
			status := seen.status
			why := recover()
			if status == 0 {
				status = http.StatusOK
				if why != nil {
					status = http.StatusInternalServerError
				}
			}
			took := time.Since(begin)
			if s.Observe != nil {
				s.Observe(method, route, status, took)
			}
			if span != nil {
				span.Set(trace.Attr{Key: "http.response.status_code", Value: status})
				var err error
				if status >= 500 {
					err = errors.New(http.StatusText(status))
				}
				span.End(err)
			}
			if s.Log.Enabled(ctx, slog.LevelDebug) {
				words := []any{"method", r.Method, "path", r.URL.Path, "status", status, "took", took}
				if p, _ := trace.Here(ctx); p.Valid() {
					words = append(words, "trace", fmt.Sprintf("%x", p.Trace))
				}
				s.log(ctx).Debug("request", words...)
			}
			if why != nil {
				panic(why) // net/http ends the connection and logs why
			}
		}()
		next.ServeHTTP(seen, r.WithContext(ctx))
	})
}

// answered notes the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the abilities of the writer.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

const (
	readyTime = 5 * time.Second // for one check; callers give up soon after
	readyLast = time.Second     // how long a result is reused, as anybody may ask
)

// readiness is the last result of the readiness check, shared by all callers.
type readiness struct {
	mu     sync.Mutex
	looked time.Time
	err    error
	under  chan struct{} // closed when the running check ends; nil: none runs
}

// lookReady returns why requests cannot be served, or nil. A check that hangs is a reason too.
func (s *server) lookReady(ctx context.Context) error {
	select {
	case <-s.Ending:
		return errors.New("it is being stopped")
	default:
	}
	y := &s.readiness
	y.mu.Lock()
	if y.under == nil && time.Since(y.looked) < readyLast {
		defer y.mu.Unlock()
		return y.err
	}
	under := y.under
	if under == nil {
		under = make(chan struct{})
		y.under = under
		// it may last as long as the store hangs; no second one begins meanwhile
		go func() {
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
			defer cancel()
			err := s.Ready(look)
			y.mu.Lock()
			y.looked, y.err, y.under = time.Now(), err, nil
			y.mu.Unlock()
			close(under)
		}()
	}
	y.mu.Unlock()
	late := time.NewTimer(readyTime)
	defer late.Stop()
	select {
	case <-under:
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.err
	case <-late.C:
		return fmt.Errorf("the state does not answer within %v", readyTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.lookReady(r.Context()); err != nil {
		s.refuse(w, r, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("not ready")})
		s.log(r.Context()).Warn("not ready", "err", err)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
