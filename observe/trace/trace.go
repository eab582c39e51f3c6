package trace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync"
	"time"
)

// SpanContext names a span across processes: the part that is sent from one to another.
type SpanContext struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
}

// Valid reports whether it names one.
func (p SpanContext) Valid() bool { return p.Trace != [16]byte{} && p.Span != [8]byte{} }

// String is the place as the header traceparent has it; "" if it names none.
func (p SpanContext) String() string {
	if !p.Valid() {
		return ""
	}
	flags := "-00"
	if p.Sampled {
		flags = "-01"
	}
	return "00-" + hex.EncodeToString(p.Trace[:]) + "-" + hex.EncodeToString(p.Span[:]) + flags
}

// Parse reads a traceparent. ok is false for a malformed one, which is to be ignored.
func Parse(s string) (p SpanContext, ok bool) {
	const length = 55
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' || strings.ToLower(s[:length]) != s[:length] {
		return p, false
	}
	// A later version may say more, after another dash; the first says no more, and ff is none.
	if s[:2] == "ff" || s[:2] == "00" && len(s) != length || len(s) > length && s[length] != '-' {
		return p, false
	}
	var version, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{version[:], s[:2]}, {p.Trace[:], s[3:35]}, {p.Span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			return SpanContext{}, false
		}
	}
	p.Sampled = flags[0]&1 == 1
	return p, p.Valid()
}

// Kind says at which end of a request a span stands.
type Kind int

// The kinds, as OpenTelemetry numbers them.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
)

// Attr says something about a span.
type Attr struct {
	Key   string
	Value any // a string, bool, int, int64 or float64
}

// EndedSpan is a span that has ended.
type EndedSpan struct {
	SpanContext
	Parent [8]byte // zero: there is none
	State  string  // the header tracestate that came along, to be passed on as it is
	Name   string
	Kind   Kind
	Begin  time.Time
	End    time.Time
	Attrs  []Attr
	Err    string // why it failed; "": it did not
}

// Tracer makes spans. It may be used from many goroutines.
type Tracer struct {
	// Send takes each span that has ended and is sampled. It must not block.
	Send func(EndedSpan)
	// Sample decides about a trace that begins here, by its random id; nil samples all. A trace
	// that began in another process was decided there.
	Sample func(id [16]byte) bool
}

type key struct{}

// state is what goes with a context.
type state struct {
	tracer *Tracer
	place  SpanContext
	text   string // tracestate
	span   *Span  // nil: it is another process's
}

// With returns a context in which spans are made by t. Spans of ctx, if any, are forgotten.
func With(ctx context.Context, t *Tracer) context.Context {
	return context.WithValue(ctx, key{}, &state{tracer: t})
}

// WithParent returns a context with t whose spans are below one of another process. tracestate
// may be "".
func WithParent(ctx context.Context, t *Tracer, parent SpanContext, tracestate string) context.Context {
	if !parent.Valid() {
		return With(ctx, t)
	}
	if len(tracestate) > 512 {
		tracestate = "" // as the standard lets us
	}
	return context.WithValue(ctx, key{}, &state{tracer: t, place: parent, text: tracestate})
}

// Current returns the place of the span that ctx is in, to be told to another process, and the
// tracestate that goes with it.
func Current(ctx context.Context) (p SpanContext, tracestate string) {
	if s, ok := ctx.Value(key{}).(*state); ok {
		return s.place, s.text
	}
	return SpanContext{}, ""
}

// Span is a part of a trace that has begun. A nil one is good for all calls, and does nothing.
type Span struct {
	tracer *Tracer

	mu    sync.Mutex
	d     EndedSpan
	ended bool
}

// Start begins a span below that of ctx. It must be ended. Without a tracer in ctx it is nil, and
// ctx is returned as it is.
func Start(ctx context.Context, name string, attrs ...Attr) (context.Context, *Span) {
	return StartKind(ctx, Internal, name, attrs...)
}

// StartKind is Start with a kind.
func StartKind(ctx context.Context, kind Kind, name string, attrs ...Attr) (context.Context, *Span) {
	above, ok := ctx.Value(key{}).(*state)
	if !ok || above.tracer == nil {
		return ctx, nil
	}
	d := EndedSpan{
		SpanContext: above.place, Parent: above.place.Span, State: above.text,
		Name: name, Kind: kind, Begin: time.Now(), Attrs: attrs,
	}
	if d.Trace == [16]byte{} {
		_, _ = rand.Read(d.Trace[:]) // never fails
		d.Sampled = above.tracer.Sample == nil || above.tracer.Sample(d.Trace)
	}
	_, _ = rand.Read(d.Span[:])
	s := &Span{tracer: above.tracer, d: d}
	return context.WithValue(ctx, key{}, &state{tracer: above.tracer, place: d.SpanContext, text: d.State, span: s}), s
}

// Set adds attributes.
func (s *Span) Set(attrs ...Attr) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.d.Attrs = append(s.d.Attrs[:len(s.d.Attrs):len(s.d.Attrs)], attrs...)
}

// End ends it; err, if not nil, is why it failed. The first call counts.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	d, again := s.d, s.ended
	s.ended = true
	s.mu.Unlock()
	if again || !d.Sampled || s.tracer.Send == nil {
		return
	}
	d.End = time.Now()
	if err != nil {
		d.Err = err.Error()
	}
	s.tracer.Send(d)
}

// setAttrs adds attributes to the span that ctx is in.
func setAttrs(ctx context.Context, attrs ...Attr) {
	if s, ok := ctx.Value(key{}).(*state); ok {
		s.span.Set(attrs...)
	}
}

// Ratio samples a share of traces between 0 and 1, and the same of them in all processes.
func Ratio(share float64) func([16]byte) bool {
	switch {
	case share >= 1:
		return func([16]byte) bool { return true }
	case !(share > 0):
		return func([16]byte) bool { return false }
	}
	limit := uint64(share * (1 << 63))
	return func(id [16]byte) bool { return binary.BigEndian.Uint64(id[8:])>>1 < limit }
}
