package trace_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/observe/trace"
)

func TestParse(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{good, true},
		{good[:53] + "00", true},
		{good[:53] + "ff", true}, // flags that we do not know
		{"cc" + good[2:], true},  // a version that we do not know
		{"cc" + good[2:] + "-what-it-says", true},
		{"cc" + good[2:] + "x", false},
		{"", false},
		{good + "-more", false}, // the first version says no more
		{"ff" + good[2:], false},
		{"0x" + good[2:], false},
		{strings.ToUpper(good), false},
		{strings.Replace(good, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1), false},
		{strings.Replace(good, "b7ad6b7169203331", strings.Repeat("0", 16), 1), false},
		{strings.Replace(good, "-b7", "_b7", 1), false},
		{strings.Replace(good, "b7ad", "g7ad", 1), false},
		{good[:54], false},
	} {
		p, ok := trace.Parse(c.text)
		if ok != c.ok {
			t.Errorf("%q: ok = %v; want ok == c.ok", c.text, ok)
		}
		if !ok && p != (trace.SpanContext{}) && p.Valid() {
			t.Errorf("%q: it is refused, and yet %v", c.text, p)
		}
		if c.text == good && p.String() != good {
			t.Errorf("%q became %q", good, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := trace.Parse(s)
		if !ok {
			return
		}
		if again, ok := trace.Parse(p.String()); !ok || again != p {
			t.Errorf("%q: %v, and again %v", s, p, again)
		}
	})
}

func TestSpans(t *testing.T) {
	var got []trace.EndedSpan
	tr := &trace.Tracer{Send: func(d trace.EndedSpan) { got = append(got, d) }}
	ctx := trace.With(context.Background(), tr)
	ctx, whole := trace.StartKind(ctx, trace.Client, "whole", trace.Attr{Key: "a", Value: 1})
	inner, part := trace.Start(ctx, "part")
	trace.Note(inner, trace.Attr{Key: "b", Value: "two"})
	here, _ := trace.Current(inner)
	// Another process goes on with what it was told.
	there, _ := trace.Parse(here.String())
	_, far := trace.Start(trace.WithParent(context.Background(), tr, there, "vendor=1"), "far")
	far.End(nil)
	part.End(errors.New("it broke"))
	part.End(nil) // the first counts
	whole.End(nil)
	if len(got) != 3 {
		t.Fatalf("%d spans: %+v", len(got), got)
	}
	f, p, w := got[0], got[1], got[2]
	if f.Trace != w.Trace || p.Trace != w.Trace || w.Parent != [8]byte{} || p.Parent != w.Span || f.Parent != p.Span {
		t.Errorf("they are not below each other: %+v", got)
	}
	if p.Err != "it broke" || w.Err != "" || f.State != "vendor=1" || w.Kind != trace.Client || len(p.Attrs) != 1 ||
		p.Attrs[0].Value != "two" {
		t.Errorf(
			"got = %+v"+
				`; want p.Err == "it broke" and w.Err == "" and f.State == "vendor=1" and w.Kind == `+
				`trace.Client and len(p.Attrs) == 1 and p.Attrs[0].Value == "two"`,
			got,
		)
	}
	if w.End.Before(w.Begin) || p.Begin.Before(w.Begin) {
		t.Errorf("their times: %+v", got)
	}
}

func TestNothing(t *testing.T) {
	ctx := context.Background()
	got, span := trace.Start(ctx, "nothing")
	if got != ctx || span != nil {
		t.Error("without a tracer there is a span")
	}
	span.Set(trace.Attr{Key: "a", Value: 1})
	span.End(nil)
	trace.Note(ctx, trace.Attr{Key: "a", Value: 1})
	if p, _ := trace.Current(ctx); p.Valid() || p.String() != "" {
		t.Error("without a tracer there is a place")
	}
	if n := testing.AllocsPerRun(100, func() { _, s := trace.Start(ctx, "x"); s.End(nil) }); n != 0 {
		t.Errorf("without a tracer a span costs %v allocations", n)
	}
}

func TestSample(t *testing.T) {
	sent := 0
	tr := &trace.Tracer{Send: func(trace.EndedSpan) { sent++ }, Sample: trace.Ratio(0)}
	ctx, s := trace.Start(trace.With(context.Background(), tr), "not sampled")
	p, _ := trace.Current(ctx)
	if !p.Valid() || p.Sampled || !strings.HasSuffix(p.String(), "-00") {
		t.Errorf(`p = %v; want p.Valid() and !p.Sampled and strings.HasSuffix(p.String(), "-00")`, p)
	}
	s.End(nil)
	asked, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, s = trace.Start(trace.WithParent(context.Background(), tr, asked, ""), "whoever asks has decided")
	s.End(nil)
	if sent != 1 {
		t.Errorf("%d were sent", sent)
	}
	half, n := trace.Ratio(0.5), 0
	for range 4000 {
		tr := &trace.Tracer{Send: func(trace.EndedSpan) { n++ }, Sample: half}
		_, s := trace.Start(trace.With(context.Background(), tr), "half")
		s.End(nil)
	}
	if math.Abs(float64(n)-2000) > 300 { // more than nine standard deviations
		t.Errorf("of 4000 traces %d are a half", n)
	}
}
