package controller

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller/server"
)

// Listen returns the listener for scrapes without authentication; nil: none.
func (o Telemetry) Listen() (net.Listener, error) {
	if o.Metrics == "" {
		return nil, nil
	}
	return MetricsListener(o.Metrics)
}

// serveMetrics answers scrapes until ctx ends.
func (k *controller) serveMetrics(ctx context.Context, l net.Listener) {
	ServeMetrics(ctx, k.Log, k.metrics, l)
}

// ServeMetrics answers scrapes on a listener until ctx ends.
func ServeMetrics(ctx context.Context, log *slog.Logger, m *metricSet, l net.Listener) {
	srv := &http.Server{Handler: metricsServer(m), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	if err := server.Serve(ctx, srv, l, Grace); err != nil && ctx.Err() == nil {
		log.Error("metrics are not answered any more", "err", err)
	}
}

// MetricsListener listens for scrapes without authentication. Only loopback addresses are allowed.
func MetricsListener(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.Invalid("127.0.0.1:9465, say", "--metrics %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fault.Invalid(
			"listen on 127.0.0.1; from elsewhere GET /metrics of --listen, with a token",
			"--metrics %s: whoever reaches it needs no token", addr,
		)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, CannotListen("--metrics", addr, err)
	}
	return l, nil
}

// metricsServer answers /metrics only. It refuses names other than localhost, so that a page of
// another site cannot read it through a browser by DNS rebinding.
func metricsServer(m *metricSet) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		switch {
		case host != "localhost" && (ip == nil || !ip.IsLoopback()):
			http.Error(w, "ask for 127.0.0.1 or localhost", http.StatusForbidden)
		case r.URL.Path != "/metrics":
			http.Error(w, "GET /metrics", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "GET /metrics", http.StatusMethodNotAllowed)
		default:
			m.Reg.ServeHTTP(w, r)
		}
	})
}
