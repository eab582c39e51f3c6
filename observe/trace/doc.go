// Package trace follows one act through hostler: from the command over the controller to the engine
// and the provider, across processes by the header traceparent of W3C's Trace Context. A span is a
// part of it with a name, a beginning, an end and a few attributes, below another span or none.
//
// The context carries the tracer and the current span. Without a tracer in it Start returns nil and
// costs next to nothing, so every package may call it. It needs the standard library alone. To send
// spans somewhere, give the tracer a function that takes them: trace/otlp has one.
package trace
