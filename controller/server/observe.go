package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/observe/trace"
)

// observed gives each request an id and reports it to the metrics and traces, however it ends.
func (s Telemetry) observed(table *route.Table, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin, id := time.Now(), request.IDOf(r)
		w.Header().Set(request.Header, id)
		pattern := table.Pattern(r)
		ctx := route.WithPattern(request.WithID(r.Context(), id), pattern)
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "", "none" // callers may invent paths and methods
		}
		var span *trace.Span
		// health checks and scrapes are not traced
		if s.Tracer != nil && ok && !route.IsOpen(path) && path != "/metrics" {
			parent, _ := trace.Parse(r.Header.Get("Traceparent"))
			ctx = trace.WithParent(ctx, s.Tracer, parent, strings.Join(r.Header.Values("Tracestate"), ","))
			ctx, span = trace.StartKind(ctx, trace.Server, pattern, trace.Attr{
				Key: "http.request.method", Value: r.Method,
			}, trace.Attr{Key: "http.route", Value: path},
				trace.Attr{Key: "url.path", Value: r.URL.Path}, trace.Attr{Key: "hostler.request", Value: id})
		}
		seen := &request.Writer{ResponseWriter: w}
		defer func() {
			status := seen.Status()
			why := recover()
			if status == 0 {
				status = http.StatusOK
				if why != nil {
					status = http.StatusInternalServerError
				}
			}
			took := time.Since(begin)
			if s.Observe != nil {
				s.Observe(method, path, status, took)
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
				if p, _ := trace.Current(ctx); p.Valid() {
					words = append(words, "trace", fmt.Sprintf("%x", p.Trace))
				}
				request.Errors{Log: s.Log}.LogOf(ctx).Debug("request", words...)
			}
			if why != nil {
				panic(why) // net/http ends the connection and logs why
			}
		}()
		next.ServeHTTP(seen, r.WithContext(ctx))
	})
}
