package controller

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/hostler-project/hostler/compute/engine"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/store"
)

// Scraped returns the listener for scrapes without authentication; nil: none.
func (o Telemetry) Scraped() (net.Listener, error) {
	if o.Metrics == "" {
		return nil, nil
	}
	return MetricsListener(o.Metrics)
}

// serveMetrics answers scrapes until ctx ends.
func (k *controller) serveMetrics(ctx context.Context, l net.Listener) {
	ServeMetrics(ctx, k.Log, k.meters, l)
}

// ServeMetrics answers scrapes on a listener until ctx ends.
func ServeMetrics(ctx context.Context, log *slog.Logger, m *meters, l net.Listener) {
	srv := &http.Server{Handler: metricsServer(m), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	if err := server.Serve(ctx, srv, l, Grace); err != nil && ctx.Err() == nil {
		log.Error("metrics are not answered any more", "err", err)
	}
}

// standing returns what the metrics of sources are read from.
func (k *controller) standing() (engine.Book, *config.Config) {
	now := k.now.Load()
	return now.engine, now.cfg
}

// ready returns why requests cannot be served now: the controller is ending, or the state cannot be
// read or written.
func (k *controller) ready(ctx context.Context) error {
	if k.leaving() {
		return errors.New("it was told to end")
	}
	if _, err := k.now.Load().engine.Status(ctx); err != nil {
		return err
	}
	return k.Host.Store().Update(ctx, func(store.Tx) error { return nil })
}
