package metric_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/observe/metric"
)

func written(t *testing.T, r *metric.Registry) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	r := metric.New()
	h := r.Histogram("wait_seconds", "How long.", []float64{0.1, 1}, "source")
	c := r.Counter("calls_total", "Calls\nof \\ all.", "source", "result")
	r.Counter("never_total", "Never counted.")
	r.Gauge("never", "Never set.")
	g := r.Gauge("there", "What is there.", "source")
	n := 0.0
	r.Before(func() { g.Reset(); n++; g.Set(n, fmt.Sprint("source ", n)) })
	c.Add(1, "b", "ok")
	c.Add(2, "a\"\\\n\xffé", "ok")
	c.Add(0.5, "b", "ok")
	c.Add(-1, "b", "ok") // no counter shrinks
	for _, v := range []float64{0.1, 0.05, 0.5, 7} {
		h.Observe(v, "web")
	}
	written(t, r)
	want := `# HELP calls_total Calls\nof \\ all.
# TYPE calls_total counter
calls_total{source="a\"\\\n` + "\uFFFDé" + `",result="ok"} 2
calls_total{source="b",result="ok"} 1.5
# HELP never_total Never counted.
# TYPE never_total counter
never_total 0
# HELP there What is there.
# TYPE there gauge
there{source="source 2"} 2
# HELP wait_seconds How long.
# TYPE wait_seconds histogram
wait_seconds_bucket{source="web",le="0.1"} 2
wait_seconds_bucket{source="web",le="1"} 3
wait_seconds_bucket{source="web",le="+Inf"} 4
wait_seconds_sum{source="web"} 7.65
wait_seconds_count{source="web"} 4
`
	if got := written(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBounded has somebody make label values up.
func TestBounded(t *testing.T) {
	r := metric.New()
	c := r.Counter("c_total", "C.", "a", "b")
	for i := range 50000 {
		c.Add(1, fmt.Sprint(i), "b")
	}
	text := written(t, r)
	if n := strings.Count(text, "\n"); n > 10010 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(text, `c_total{a="other",b="other"} 40000`) {
		t.Error("what is beyond is not counted")
	}
}

func TestMistakes(t *testing.T) {
	r := metric.New()
	c := r.Counter("c_total", "C.", "a")
	for name, f := range map[string]func(){"two of a name": func() { r.Gauge("c_total", "") }, "labels missing": func() { c.Add(1) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nobody minds", name)
				}
			}()
			f()
		}()
	}
}

func TestAtOnce(t *testing.T) {
	r := metric.New()
	r.Process()
	c, h := r.Counter("c_total", "C."), r.Histogram("h", "H.", []float64{1}, "l")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				c.Add(1)
				h.Observe(float64(i), "l")
				if i%200 == 0 {
					written(t, r)
				}
			}
		})
	}
	all.Wait()
	if text := written(t, r); !strings.Contains(text, "c_total 8000\n") || !strings.Contains(text, `h_count{l="l"} 8000`) {
		t.Error(text)
	}
}

// TestPromtool has Prometheus' own tool judge.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool: not installed")
	}
	r := metric.New()
	r.Process()
	r.Counter("ours_calls_total", "Calls.", "source").Add(1, "a\"\\\nb")
	h := r.Histogram("ours_wait_seconds", "Waits.", []float64{0.001, 0.01}, "source")
	h.Observe(math.Inf(1), "web")
	h.Observe(0.002, "web")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, nil)
	if w.Header().Get("Content-Type") != metric.ContentType {
		t.Error(w.Header())
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = w.Body
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: out = %s; want no error", err, out)
	}
}
