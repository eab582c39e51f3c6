package guard_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a provider with the four verbs alone, each of which does f.
type plain struct {
	f func(ctx context.Context, op string) error
}

func (p plain) Create(ctx context.Context, s compute.Spec) (compute.Instance, error) {
	return compute.Instance{ID: s.ID}, p.f(ctx, "create")
}
func (p plain) Destroy(ctx context.Context, _ compute.ID) error { return p.f(ctx, "destroy") }
func (p plain) List(ctx context.Context) ([]compute.Instance, error) {
	return nil, p.f(ctx, "list")
}
func (p plain) Connect(ctx context.Context, _ compute.ID) (compute.Conn, error) {
	return nil, p.f(ctx, "connect")
}

type cleaning struct{ plain }

func (c cleaning) Clean(ctx context.Context, _ compute.ID) (string, error) {
	return "all", c.f(ctx, "clean")
}

type checking struct{ plain }

func (c checking) Check(ctx context.Context, _ compute.ID) error { return c.f(ctx, "check") }

type both struct {
	plain
	cleaning
	checking
}

func (b both) Create(ctx context.Context, s compute.Spec) (compute.Instance, error) {
	return b.plain.Create(ctx, s)
}
func (b both) Destroy(ctx context.Context, id compute.ID) error     { return b.plain.Destroy(ctx, id) }
func (b both) List(ctx context.Context) ([]compute.Instance, error) { return b.plain.List(ctx) }
func (b both) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	return b.plain.Connect(ctx, id)
}
func (b both) Names() []string { return []string{"x"} }
func (b both) AsIs() bool      { return false }

func (b both) Lookup(compute.ID) (i compute.Instance, ok bool) { return i, false }

func TestAbilities(t *testing.T) {
	p := plain{func(context.Context, string) error { return nil }}
	for name, c := range map[string]struct {
		p                    compute.Provider
		clean, check, naming bool
	}{
		"none": {p, false, false, false}, "clean": {cleaning{p}, true, false, false}, "check": {checking{p}, false, true, false},
		"both": {both{p, cleaning{p}, checking{p}}, true, true, true},
	} {
		g := guard.New(guard.New(c.p, guard.Options{}), guard.Options{})
		_, clean := provider.As[provider.Cleaner](g)
		_, check := provider.As[provider.Checker](g)
		_, fixed := provider.As[provider.Static](g)
		if clean != c.clean || check != c.check || fixed != c.naming {
			t.Errorf("%s: cleaner %v, checker %v, fixed %v", name, clean, check, fixed)
		}
	}
}

// every calls all six operations of a guarded provider.
func every(ctx context.Context, g compute.Provider) map[string]error {
	out := map[string]error{}
	_, out["create"] = g.Create(ctx, compute.Spec{ID: "s-1"})
	out["destroy"] = g.Destroy(ctx, "s-1")
	_, out["list"] = g.List(ctx)
	_, out["connect"] = g.Connect(ctx, "s-1")
	if c, ok := provider.As[provider.Cleaner](g); ok {
		_, out["clean"] = c.Clean(ctx, "s-1")
	}
	if c, ok := provider.As[provider.Checker](g); ok {
		out["check"] = c.Check(ctx, "s-1")
	}
	return out
}

func every6(f func(context.Context, string) error) compute.Provider {
	p := plain{f}
	return both{p, cleaning{p}, checking{p}}
}

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{compute.ErrUnavailable, 4}, {compute.ErrLost, 4}, {compute.ErrNotReady, 1}, {compute.ErrNoCapacity, 1},
		{compute.ErrInvalid, 1}, {compute.ErrDenied, 1},
		{compute.ErrFailed, 1}, {compute.ErrNotFound, 1}, {errors.New("odd"), 1}, {nil, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := map[string]int{}
			start := time.Now()
			g := guard.New(
				every6(func(_ context.Context, op string) error { calls[op]++; return c.err }),
				guard.Options{Retries: 3, Pause: time.Second},
			)
			for op, err := range every(t.Context(), g) {
				if calls[op] != c.want || !errors.Is(err, c.err) {
					t.Errorf("%v of %s: %d calls, %v, want %d", c.err, op, calls[op], err, c.want)
				}
			}
			// Half of 1+2+4 seconds at least, and the whole at most, six times.
			if took := time.Since(start); c.want == 4 && (took < 6*3500*time.Millisecond || took > 6*7*time.Second+time.Second) {
				t.Errorf("%v: pauses took %v", c.err, took)
			}
		})
	}
}

func TestRetryStopsBeforeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		g := guard.New(
			plain{func(context.Context, string) error { calls++; return compute.ErrUnavailable }},
			guard.Options{Retries: 9, Pause: time.Minute},
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Destroy(ctx, "s-1"); !errors.Is(err, compute.ErrUnavailable) || calls != 1 || time.Since(start) != 0 {
			t.Errorf("%v after %d calls and %v: a pause beyond the deadline is in vain", err, calls, time.Since(start))
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		o := guard.Options{Retries: 5, Timeout: map[string]time.Duration{"": 5 * time.Second, guard.Create: time.Minute}, Source: "s"}
		start := time.Now()
		for op, err := range every(t.Context(), guard.New(every6(hang), o)) {
			var e *compute.Error
			if !errors.Is(err, compute.ErrTimeout) || !errors.As(err, &e) || !strings.Contains(e.Op, op) || op != "list" && e.ID != "s-1" {
				t.Errorf("%s: %v, want a time-out that names the operation and the instance", op, err)
			}
		}
		if took := time.Since(start); took != time.Minute+25*time.Second {
			t.Errorf("took %v: a time-out is not tried again", took)
		}
		// The caller's own end is not a time-out of the provider's.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := guard.New(plain{hang}, o).Destroy(ctx, "s-1"); !errors.Is(err, context.Canceled) || errors.Is(err, compute.ErrTimeout) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestCreatesAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		slow := func(ctx context.Context, op string) error {
			if op != "create" {
				return nil
			}
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			return nil
		}
		g := guard.New(every6(slow), guard.Options{Creates: 3})
		start := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { every(t.Context(), g) })
		}
		time.Sleep(500 * time.Millisecond)
		if _, err := g.Connect(t.Context(), "s-1"); err != nil || time.Since(start) != 500*time.Millisecond {
			t.Errorf("Connect waits behind slow creates: %v", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := g.Create(ctx, compute.Spec{ID: "s-2"}); !errors.Is(err, compute.ErrTimeout) || !provider.WasUnasked(err) {
			t.Errorf("waiting for a place until the deadline: %v", err)
		}
		wg.Wait()
		if most.Load() != 3 {
			t.Errorf("%d calls at once, want 3", most.Load())
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("four seconds of work by three took %v", took)
		}

		g = guard.New(plain{func(context.Context, string) error { return nil }}, guard.Options{Rate: 2})
		start = time.Now()
		for range 5 {
			g.Destroy(t.Context(), "s-1")
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("five calls at two a second took %v", took)
		}
	})
}

func TestPanicAndObserve(t *testing.T) {
	var log bytes.Buffer
	type call struct {
		op  string
		err error
	}
	var seen []call
	boom := every6(func(_ context.Context, op string) error { panic("boom in " + op) })
	g := guard.New(boom, guard.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Creates: 1, Retries: 2,
		Observe: func(op string, _ time.Duration, err error) { seen = append(seen, call{op, err}) }})
	for op, err := range every(t.Context(), g) {
		if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "boom in "+op) {
			t.Errorf(`%s: err = %v; want error compute.ErrFailed and err.Error() with "boom in " + op`, op, err)
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d calls were observed, want 6", len(seen))
	}
	for _, c := range seen {
		if !errors.Is(c.err, compute.ErrFailed) {
			t.Errorf("observed of %s: %v", c.op, c.err)
		}
	}
	if !strings.Contains(log.String(), "guard_test.go") {
		t.Error("the log has not the stack of the panic")
	}
}

// TestFlaky drives a fake that fails one call in three through a guard: the caller sees none of it,
// and nothing is made twice.
func TestFlaky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.NewCloud()
		p, err := fake.Open(t.Context(), slog.New(slog.DiscardHandler),
			fake.Options{Source: "s", Cloud: cloud, FailCreate: "0.3", FailDestroy: "0.3", FailClean: "0.3", FailConnect: "0.3", Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		g := guard.New(p, guard.Options{Retries: 12})
		for op, err := range every(t.Context(), g) {
			if err != nil && op != "connect" && op != "check" && op != "clean" { // gone by then
				t.Errorf(`%s: err = %v; want no error or op == "connect" or op == "check" or op == "clean"`, op, err)
			}
		}
		if cloud.Made() != 1 || cloud.Destroyed() != 1 {
			t.Errorf("made %d, destroyed %d", cloud.Made(), cloud.Destroyed())
		}
	})
}

// TestRetriedUnasked: a try that did nothing says nothing of the one before it.
func TestRetriedUnasked(t *testing.T) {
	gone := &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("broke off")}
	for name, c := range map[string]struct {
		errs    []error
		unasked bool
	}{
		"never": {[]error{provider.Unasked(gone), provider.Unasked(gone)}, true},
		"first": {[]error{gone, provider.Unasked(gone)}, false},
		"last":  {[]error{provider.Unasked(gone), gone}, false},
	} {
		n := -1
		p := guard.New(
			plain{func(context.Context, string) error { n++; return c.errs[n] }},
			guard.Options{Retries: 1, Pause: time.Millisecond},
		)
		_, err := p.Create(t.Context(), compute.Spec{ID: "a"})
		if !errors.Is(err, compute.ErrUnavailable) || provider.WasUnasked(err) != c.unasked || n != 1 {
			t.Errorf("%s: %v, %v, after %d tries", name, err, provider.WasUnasked(err), n+1)
		}
	}
}
