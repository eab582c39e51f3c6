package cli

import (
	"cmp"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/observe/trace/otlp"
	"github.com/hostler-project/hostler/observe/tracing"
)

// follow sends a trace of the command if OpenTelemetry's variables say where to. $TRACEPARENT makes
// it part of another program's trace.
func follow(a *App, cmd *cobra.Command) {
	opt, ok, err := otlp.FromEnv(os.Getenv)
	if err != nil {
		_ = term.Printf(a.Err, "%s: warning: no traces: %s\n", a.Program, term.Line(err.Error()))
	}
	if err != nil || !ok {
		return
	}
	serves := cmd.Name() == "serve"
	opt.Version, opt.Log = version.Read().Version, a.Log
	opt.Resource["service.name"] = cmp.Or(opt.Resource["service.name"], "hostler")
	opt.Resource["service.version"] = cmp.Or(opt.Resource["service.version"], opt.Version)
	if host, err := os.Hostname(); err == nil {
		opt.Resource["host.name"] = cmp.Or(opt.Resource["host.name"], host)
	}
	if !serves {
		opt.Patience = time.Nanosecond // no second try, so that the command ends at once
	}
	e := otlp.New(opt)
	a.Traces = &tracing.Tracing{Exporter: e, Tracer: e.Tracer()}
	if serves {
		return // each request gets a trace of its own
	}
	parent, _ := trace.Parse(os.Getenv("TRACEPARENT"))
	ctx := trace.WithParent(cmd.Context(), a.Traces.Tracer, parent, os.Getenv("TRACESTATE"))
	ctx, a.Traces.Span = trace.Start(ctx, cmd.CommandPath())
	cmd.SetContext(ctx)
}
