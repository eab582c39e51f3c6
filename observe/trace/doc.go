// Package trace follows one act through hostler: from the command over the controller to the engine
// and the provider, across processes by the header traceparent of W3C's Trace Context. A span is a
// part of it with a name, a beginning, an end and a few attributes, below another span or none.
//
// The tracer and the span that something is done in go with the context. Where there is no tracer
// in it Start gives nothing back and costs next to nothing, so every room may call it; it needs the
// standard library alone. Who wants spans sent somewhere gives the tracer a function that takes
// them: trace/otlp has one.
package trace
