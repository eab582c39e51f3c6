package pool_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
)

// crowd is an engine with one instance, which somebody has, and n requests that wait for it. Who
// gets it says so on got; another takes his place.
type crowd struct {
	*rig
	ctx context.Context
	got chan compute.Lease
	all sync.WaitGroup
}

func newCrowd(b testing.TB, n int) (c *crowd, first compute.Lease) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := newRig(
		b, b.TempDir(), map[string]*fake.Cloud{},
		[]pool.Source{{Name: "web", Type: "fake", Digest: "d", Reserve: 1, Maximum: 1, Reuse: "as-is"}}, nil,
	)
	c = &crowd{rig: r, ctx: ctx, got: make(chan compute.Lease, 1)}
	b.Cleanup(func() {
		cancel()
		c.all.Wait()
	})
	ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
	must(b, err)
	for range n {
		c.join()
	}
	for {
		if s, err := r.Status(ctx); err != nil || s[0].Waiting == n {
			must(b, err)
			return c, ls[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *crowd) join() {
	c.all.Go(func() {
		ls, err := c.Acquire(c.ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: -1, Notify: func(compute.Progress) {}})
		if err == nil {
			c.got <- ls[0]
		}
	})
}

// busy is the processor time that this process has used.
func busy(b testing.TB) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHandover is from the call of a release until the next who waits has the instance,
// nothing to clean: two durable transactions at least, which are the floor. Idle is what those who
// wait cost meanwhile, of one processor.
func BenchmarkHandover(b *testing.B) {
	for _, n := range []int{200, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bare := floor(b, 100)
			c, held := newCrowd(b, n)
			for b.Loop() {
				var took, least []time.Duration
				for range 200 {
					start := time.Now()
					must(b, c.Release(c.ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, held.Instance))
					held = <-c.got
					took = append(took, time.Since(start))
					c.join()
					time.Sleep(5 * time.Millisecond) // it joins
					start = time.Now()
					must(b, bare())
					least = append(least, time.Since(start))
				}
				slices.Sort(took)
				slices.Sort(least)
				b.ReportMetric(float64(least[len(least)/2].Microseconds()), "floor-us")
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us(<10000)")
				b.ReportMetric(float64(took[len(took)/2])/float64(least[len(least)/2]), "x-floor")
				was, start := busy(b), time.Now()
				time.Sleep(2 * time.Second) // what an idle engine uses is measured over this time
				b.ReportMetric(100*(busy(b)-was).Seconds()/time.Since(start).Seconds(), "idle-%")
			}
		})
	}
}
