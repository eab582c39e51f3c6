package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/observe/trace/otlp"
)

// traceTime is how long a command that has ended waits for whoever takes its trace.
const traceTime = time.Second

// tracing is a trace that is sent; nil: none is.
type tracing struct {
	exporter *otlp.Exporter
	tracer   *trace.Tracer
	span     *trace.Span // of the whole command; nil: it is a controller
}

// follow has what a command does sent as a trace, where OpenTelemetry's variables say where to.
// With $TRACEPARENT it is below another program's.
func (a *app) follow(cmd *cobra.Command) {
	opt, ok, err := otlp.FromEnv(os.Getenv)
	if err != nil {
		_ = term.Printf(a.Err, "%s: warning: no traces: %s\n", a.Program, term.Line(err.Error()))
	}
	if err != nil || !ok {
		return
	}
	serves := cmd.Name() == "serve"
	opt.Version, opt.Log = thisVersion().Version, a.Log
	opt.Resource["service.name"] = cmp.Or(opt.Resource["service.name"], "hostler")
	opt.Resource["service.version"] = cmp.Or(opt.Resource["service.version"], opt.Version)
	if host, err := os.Hostname(); err == nil {
		opt.Resource["host.name"] = cmp.Or(opt.Resource["host.name"], host)
	}
	if !serves {
		opt.Patience = time.Nanosecond // nobody waits for a second try
	}
	e := otlp.New(opt)
	a.traces = &tracing{exporter: e, tracer: e.Tracer()}
	if serves {
		return // each request is a trace
	}
	parent, _ := trace.Parse(os.Getenv("TRACEPARENT"))
	ctx := trace.From(cmd.Context(), a.traces.tracer, parent, os.Getenv("TRACESTATE"))
	ctx, a.traces.span = trace.Start(ctx, cmd.CommandPath())
	cmd.SetContext(ctx)
}

// end ends a command's trace, and sends it.
func (t *tracing) end(err error, status int) {
	if t == nil || t.span == nil {
		return
	}
	t.span.Set(trace.Attr{Key: "process.exit.code", Value: status})
	if err == nil && status != 0 {
		err = errors.New("it failed")
	}
	t.span.End(err)
	ctx, cancel := context.WithTimeout(context.Background(), traceTime)
	defer cancel()
	_ = t.exporter.Flush(ctx) // whom a command's trace does not reach does not make it fail
}

// run sends a controller's traces until ctx ends, and then what is left.
func (t *tracing) run(ctx context.Context) {
	if t == nil {
		return
	}
	t.exporter.Run(ctx)
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*traceTime)
	defer cancel()
	_ = t.exporter.Flush(short)
}

// of makes the spans of a controller's requests; nil: nobody does.
func (t *tracing) of() *trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}
