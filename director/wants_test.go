package director_test

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// hall makes computers of the size that they are asked for, 256 MiB unless a request says, as a
// cluster does whose largest node has 64 GiB: that nobody takes one is known after half a minute.
type hall struct {
	compute.Provider
	mu   *sync.Mutex
	made map[int64]int // by what was asked for
}

func (h hall) Unwrap() compute.Provider { return h.Provider }

func (h hall) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	h.mu.Lock()
	h.made[spec.Memory]++
	h.mu.Unlock()
	if spec.Memory > 64*gib {
		time.Sleep(30 * time.Second) // in a bubble: the cluster needs half a minute to say so
		return compute.Instance{},
			provider.Unasked(&compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("no node takes it: 2 Insufficient memory")})
	}
	time.Sleep(time.Second) // in a bubble: a boot takes time
	i, err := h.Provider.Create(ctx, spec)
	i.Facts = map[string]string{"memory": strconv.FormatInt(max(spec.Memory, 256*mib), 10)}
	return i, err
}

func (h hall) Choices(context.Context, string) ([]provider.Named, bool, error) { return nil, true, nil }

// inHall runs a test on a source web whose computers are of a hall.
func inHall(t *testing.T, source pool.Source, f func(ctx context.Context, r *rig, made func(int64) int)) {
	h := hall{mu: &sync.Mutex{}, made: map[int64]int{}}
	source.Reuse, source.Size.Memory = cmp.Or(source.Reuse, "no"), 256*mib
	directed(t, setting{
		source: source, wrap: func(p compute.Provider) compute.Provider { return hall{p, h.mu, h.made} },
	}, func(ctx context.Context, r *rig) {
		time.Sleep(20 * time.Second)
		f(ctx, r, func(memory int64) int {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.made[memory]
		})
	})
}

// asked is a request on its way.
type asked struct {
	began time.Time
	took  time.Duration
	ids   []compute.Lease
	err   error
	done  chan struct{}
}

func (r *rig) ask(ctx context.Context, req compute.Request) *asked {
	req.Source, req.Count, req.Own = "web", max(1, req.Count), true
	if req.Owner == "" {
		req.Owner = "ann"
	}
	a := &asked{began: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.ids, a.err = r.Acquire(ctx, req)
		a.took = time.Since(a.began)
	}()
	return a
}

// within judges that somebody had what he wanted in time.
func (a *asked) within(t *testing.T, what string, most time.Duration) []compute.Lease {
	t.Helper()
	<-a.done
	if a.err != nil || a.took > most {
		t.Errorf("%s: after %v: %v", what, a.took, a.err)
	}
	return a.ids
}

// TestImpossibleWants: who wants what no node has keeps nobody from what can be had, nothing plain
// is made in place of what he wants, and he is told the reason.
func TestImpossibleWants(t *testing.T) {
	for _, many := range []int{4, 6, 12} {
		inHall(t, pool.Source{Spare: 2, Maximum: 6}, func(ctx context.Context, r *rig, made func(int64) int) {
			r.want("at first", inventory.Counts{Ready: 2})
			var vain []*asked
			for range many {
				vain = append(vain, r.ask(ctx, compute.Request{Memory: 500 * gib, Wait: 100 * time.Second, Owner: "eve"}))
			}
			time.Sleep(time.Second)
			more := r.ask(ctx, compute.Request{Memory: 300 * mib, Wait: time.Minute}).within(t, "300 MiB", 4*time.Second)
			plain := r.ask(ctx, compute.Request{Wait: time.Minute}).within(t, "what stands ready", 0)
			r.give(ctx, more[0].Instance, plain[0].Instance)
			for n := range 7 { // also while it is tried again and again
				time.Sleep(10 * time.Second)
				if ready := r.counts().Ready; ready > 2 {
					t.Errorf("%d, after %d: %d stand ready", many, n, ready)
				}
				got := r.ask(ctx, compute.Request{Wait: time.Minute}).within(t, "a plain one", 15*time.Second)
				r.give(ctx, got[0].Instance)
				got = r.ask(ctx, compute.Request{Wait: time.Minute, Memory: gib}).within(t, "1 GiB", 5*time.Second)
				r.give(ctx, got[0].Instance)
			}
			for _, v := range vain {
				<-v.done
				if !errors.Is(v.err, compute.ErrTimeout) || !strings.Contains(v.err.Error(), "2 Insufficient memory") ||
					v.took > 131*time.Second || compute.Hint(v.err) != "ask for less, or another source" {
					t.Errorf("after %v: %v (%s)", v.took, v.err, compute.Hint(v.err))
				}
			}
			if n := made(500 * gib); n > many+6 {
				t.Errorf("%d of %d were tried", n, many)
			}
			time.Sleep(time.Minute)
			r.want("in the end", inventory.Counts{Ready: 2})
		})
	}
}

// TestSmallOnesMakeRoom: what stands ready and is too small for all who wait goes, one for each of
// them, and the director fills up no place that they wait for.
func TestSmallOnesMakeRoom(t *testing.T) {
	inHall(t, pool.Source{Spare: 2, Maximum: 6}, func(ctx context.Context, r *rig, made func(int64) int) {
		var all []*asked
		for range 6 {
			all = append(all, r.ask(ctx, compute.Request{Memory: gib, Wait: time.Minute}))
		}
		for _, a := range all {
			a.within(t, "1 GiB", 6*time.Second)
		}
		r.want("then", inventory.Counts{Leased: 6})
		last := r.ask(ctx, compute.Request{Memory: 2 * gib, Wait: time.Minute})
		time.Sleep(20 * time.Second)
		r.give(ctx, all[0].ids[0].Instance)
		last.within(t, "2 GiB, when one is given back", 25*time.Second)
		for _, a := range all[1:] {
			r.give(ctx, a.ids[0].Instance)
		}
		time.Sleep(time.Minute)
		r.want("in the end", inventory.Counts{Leased: 1, Ready: 2})
		if n := made(gib); n != 6 {
			t.Errorf("%d of 1 GiB were made", n)
		}
	})
}

// TestOneMakesRoomForEach: no more goes than is waited for, nothing that somebody may use, and
// nothing for what is paused.
func TestOneMakesRoomForEach(t *testing.T) {
	inHall(t, pool.Source{Reserve: 6, Maximum: 6}, func(ctx context.Context, r *rig, made func(int64) int) {
		r.ask(ctx, compute.Request{Memory: gib, Wait: time.Minute}).within(t, "1 GiB", 4*time.Second)
		time.Sleep(20 * time.Second)
		r.want("with one of 1 GiB", inventory.Counts{Leased: 1, Ready: 5})
		r.ask(ctx, compute.Request{Image: "other", Wait: time.Minute}).within(t, "another image", 4*time.Second)
		time.Sleep(20 * time.Second)
		r.want("with one of another image", inventory.Counts{Leased: 2, Ready: 4})
		vain := r.ask(ctx, compute.Request{Memory: 500 * gib, Wait: 10 * time.Minute})
		time.Sleep(time.Second)
		r.want("while the impossible is tried", inventory.Counts{Leased: 2, Ready: 3, Creating: 1})
		for range 100 {
			time.Sleep(6 * time.Second)
			if c := r.counts(); c.Ready < 3 {
				t.Fatalf("for one that cannot be had all go: %+v", c)
			}
		}
		<-vain.done
		gone := 0
		for _, e := range r.events("discarding") {
			if strings.Contains(e.Text, "500G") {
				gone++
			}
		}
		if gone == 0 || gone > 3 {
			t.Errorf("%d went for what cannot be had", gone)
		}
	})
}

// TestAnotherImageKeepsNothingReady: who waits for another image, for which there is no room, keeps
// nobody from what stands ready, and has his turn.
func TestAnotherImageKeepsNothingReady(t *testing.T) {
	inHall(t, pool.Source{Maximum: 2, Reserve: 2}, func(ctx context.Context, r *rig, _ func(int64) int) {
		had := r.take(ctx, 2)
		other := r.ask(ctx, compute.Request{Image: "other", Wait: time.Hour})
		var plain []*asked
		for range 20 {
			plain = append(plain, r.ask(ctx, compute.Request{Wait: time.Hour}))
		}
		for _, p := range plain {
			go func() {
				if <-p.done; p.err == nil {
					time.Sleep(10 * time.Second)
					r.give(ctx, p.ids[0].Instance)
				}
			}()
		}
		time.Sleep(time.Minute)
		r.give(ctx, had...)
		other.within(t, "another image", 5*time.Minute)
		r.give(ctx, other.ids[0].Instance)
		for _, p := range plain {
			p.within(t, "a plain one", time.Hour)
		}
		time.Sleep(time.Minute)
	})
}

// TestNobodyStarvesForRoom: where what is given back is used again at once by others who always
// wait, it makes room in the end for who needs another.
func TestNobodyStarvesForRoom(t *testing.T) {
	inHall(t, pool.Source{Maximum: 2, Reserve: 2, Reuse: "clean"}, func(ctx context.Context, r *rig, _ func(int64) int) {
		ctx, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		for range 5 {
			all.Go(func() {
				for ctx.Err() == nil {
					if ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "bob", Wait: time.Hour}); err == nil {
						time.Sleep(10 * time.Second)
						if err := r.Release(
							context.Background(), compute.Who{Owner: "bob"}, compute.ReleaseOptions{}, ls[0].Instance,
						); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		time.Sleep(time.Minute)
		for _, req := range []compute.Request{{Image: "other", Wait: 5 * time.Minute}, {Memory: gib, Wait: 5 * time.Minute}} {
			got := r.ask(ctx, req).within(t, "one of its own", 5*time.Minute)
			if len(got) > 0 {
				r.give(ctx, got[0].Instance)
			}
		}
	})
}
