// Package tracing sends the trace of a command, or of a controller, to a collector.
package tracing

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/observe/trace/otlp"
)

// traceTime is how long a command that has ended waits for the receiver of its trace.
const traceTime = time.Second

// Tracing is a trace that is sent; nil: none is.
type Tracing struct {
	Exporter *otlp.Exporter
	Tracer   *trace.Tracer
	Span     *trace.Span // of the whole command; nil: it is a controller
}

// End ends a command's trace, and sends it.
func (t *Tracing) End(err error, status int) {
	if t == nil || t.Span == nil {
		return
	}
	t.Span.Set(trace.Attr{Key: "process.exit.code", Value: status})
	if err == nil && status != 0 {
		err = errors.New("it failed")
	}
	t.Span.End(err)
	ctx, cancel := context.WithTimeout(context.Background(), traceTime)
	defer cancel()
	_ = t.Exporter.Flush(ctx) // a receiver that cannot be reached does not fail the command
}

// Run sends a controller's traces until ctx ends, and then the rest.
func (t *Tracing) Run(ctx context.Context) {
	if t == nil {
		return
	}
	t.Exporter.Run(ctx)
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*traceTime)
	defer cancel()
	_ = t.Exporter.Flush(short)
}

// Of makes the spans of a controller's requests; nil makes none.
func (t *Tracing) Of() *trace.Tracer {
	if t == nil {
		return nil
	}
	return t.Tracer
}
