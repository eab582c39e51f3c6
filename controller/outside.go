package controller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/hostler-project/hostler/compute/engine"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/server"
)

// Looking are the options of serve for metrics and logs.
type Looking struct {
	metrics   string
	LogFormat string
	LogLevel  string
}

// Flags adds the options to a command.
func (o *Looking) Flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.metrics, "metrics", "", "answer scrapes of /metrics on `ADDR` too, on loopback, to whoever asks")
	f.StringVar(&o.LogFormat, "log-format", "text", "write the log as `FORMAT`: text or json")
	f.StringVar(&o.LogLevel, "log-level", "info", "write what is as grave as `LEVEL` or graver: debug, info, warn or error")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc(
		"log-level",
		cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp),
	)
}

// Logger returns the controller's log. debug overrides the level.
func (o *Looking) Logger(w io.Writer, debug bool) (*slog.Logger, error) {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil || strings.ContainsAny(o.LogLevel, "+-") {
		return nil, fault.Invalid("one of debug, info, warn, error", "--log-level %s: no such level", o.LogLevel)
	}
	if debug {
		level = slog.LevelDebug
	}
	opt := &slog.HandlerOptions{Level: level}
	switch o.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, opt)), nil
	case "json":
		opt.ReplaceAttr = func(_ []string, at slog.Attr) slog.Attr {
			if at.Value.Kind() == slog.KindDuration { // seconds, as in all documents
				at.Value = slog.Float64Value(at.Value.Duration().Seconds())
			}
			return at
		}
		return slog.New(slog.NewJSONHandler(w, opt)), nil
	}
	return nil, fault.Invalid("text or json", "--log-format %s: no such format", o.LogFormat)
}

// Scraped returns the listener for scrapes without authentication; nil: none.
func (o *Looking) Scraped() (net.Listener, error) {
	if o.metrics == "" {
		return nil, nil
	}
	return MetricsListener(o.metrics)
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
	return k.Host.Store().Update(ctx, func(compute.Tx) error { return nil })
}
