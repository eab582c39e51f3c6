package computetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// LeaserOptions say how to test a Leaser.
type LeaserOptions struct {
	// New makes a leaser with a source that has no instances yet. The source makes instances at
	// once, Maximum of them at most.
	New     func(t *testing.T) compute.Leaser
	Source  string
	Maximum int // at least 3
	// Shared is another source, with shared instances: at most two computers of four cores and a
	// megabyte of memory each; "": there is none.
	Shared string
	// As returns the leaser as another owner sees it, where a request alone does not say who its
	// owner is; nil: it does.
	As func(t *testing.T, l compute.Leaser, owner string) compute.Leaser
}

// Leaser is the suite that every compute.Leaser passes.
func Leaser(t *testing.T, opt LeaserOptions) {
	if opt.As == nil {
		opt.As = func(_ *testing.T, l compute.Leaser, _ string) compute.Leaser { return l }
	}
	for name, f := range map[string]func(*testing.T, *leaserRig){
		"Given": given, "AllOrNone": allOrNone, "GivenBack": givenBack, "Another's": anothers, "Ends": ends,
		"Extended": extended, "Used": used,
		"Shares": shares, "SharesOver": sharesOver, "SharesWhose": sharesWhose, "SharesWait": sharesWait,
		"Run": ranUnder, "Waits": waits, "WaitsInVain": waitsInVain, "GivesUp": givesUp, "Exclusive": exclusive,
		"Named": named, "Unknown": unknown,
	} {
		t.Run(name, func(t *testing.T) {
			r := &leaserRig{LeaserOptions: opt, ctx: t.Context(), ann: compute.Who{Owner: "ann"}, bob: compute.Who{Owner: "bob"}}
			base := opt.New(t)
			r.Leaser, r.other = opt.As(t, base, "ann"), opt.As(t, base, "bob")
			f(t, r)
		})
	}
}

// leaserRig is what one test uses: ann's leaser, and bob's.
type leaserRig struct {
	LeaserOptions
	compute.Leaser
	other    compute.Leaser
	ctx      context.Context
	ann, bob compute.Who
}

func (r *leaserRig) ask(n int) compute.Request {
	return compute.Request{Source: r.Source, Count: n, Owner: "ann"}
}

// take acquires n leases for ann, or ends the test.
func (r *leaserRig) take(t *testing.T, n int) []compute.Lease {
	t.Helper()
	ls, err := r.Acquire(r.ctx, r.ask(n))
	if err != nil {
		t.Fatalf("Acquire of %d: %v", n, err)
	}
	if len(ls) != n {
		t.Fatalf("Acquire of %d gave %d", n, len(ls))
	}
	return ls
}

func (r *leaserRig) give(t *testing.T, ls ...compute.Lease) {
	t.Helper()
	for _, l := range ls {
		if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, l.Instance); err != nil {
			t.Errorf("Release of %s: %v", l.Instance, err)
		}
	}
}

func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want one that is %v", what, err, kind)
	}
}

// given tests that leases have all that was asked for, and that a request for none gets none.
func given(t *testing.T, r *leaserRig) {
	req := r.ask(2)
	req.Purpose, req.Labels, req.TTL = "to see", map[string]string{"a": "b"}, time.Hour
	began := time.Now()
	ls, err := r.Acquire(r.ctx, req)
	if err != nil || len(ls) != 2 {
		t.Fatal(ls, err)
	}
	if !slices.IsSortedFunc(ls, func(a, b compute.Lease) int { return compareIDs(a.Instance, b.Instance) }) ||
		ls[0].Instance == ls[1].Instance || ls[0].ID == ls[1].ID {
		t.Errorf("they are not sorted, or not two: %+v", ls)
	}
	for _, l := range ls {
		if l.ID == "" || l.Source != r.Source || l.Owner != "ann" || l.Purpose != "to see" || l.Labels["a"] != "b" ||
			l.Generation < 1 || l.TTL != time.Hour {
			t.Errorf("a lease is %+v", l)
		}
		if end := l.Deadline(); end.Before(began.Add(50*time.Minute)) || end.After(time.Now().Add(61*time.Minute)) {
			t.Errorf("it ends at %v, an hour after %v", end, began)
		}
	}
	if none, err := r.Acquire(r.ctx, r.ask(0)); err != nil || len(none) != 0 {
		t.Errorf("Acquire of none: %v, %v", none, err)
	}
	r.give(t, ls...)
}

func compareIDs(a, b compute.ID) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// allOrNone tests that a request for too many fails and keeps nothing.
func allOrNone(t *testing.T, r *leaserRig) {
	ls, err := r.Acquire(r.ctx, r.ask(r.Maximum+1))
	wantKind(t, "more than there can be", err, compute.ErrNoCapacity)
	if len(ls) != 0 {
		t.Errorf("it gave %d all the same", len(ls))
	}
	all := r.take(t, r.Maximum) // nothing was kept by the one that failed
	_, err = r.Acquire(r.ctx, r.ask(1))
	wantKind(t, "one more", err, compute.ErrNoCapacity)
	r.give(t, all...)
}

// givenBack tests that a release with a wrong name changes nothing, and that it ends leases
// otherwise.
func givenBack(t *testing.T, r *leaserRig) {
	ls := r.take(t, 2)
	if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, ls[0].Instance, "no-such-instance"); err == nil {
		t.Error("a name that is none is released")
	}
	if _, err := r.Use(r.ctx, r.ann, ls[0].Instance); err != nil {
		t.Errorf("all or none are released, and now: %v", err)
	}
	if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, ls[0].Instance, ls[1].Instance); err != nil {
		t.Fatal(err)
	}
	_, err := r.Use(r.ctx, compute.Who{Owner: "ann", Lease: ls[0].ID}, ls[0].Instance)
	if err == nil {
		t.Error("an instance can be used after its release")
	}
	r.take(t, r.Maximum)
}

// anothers tests that no call acts on another owner's lease.
func anothers(t *testing.T, r *leaserRig) {
	l := r.take(t, 1)[0]
	wantKind(t, "another's release", r.other.Release(r.ctx, r.bob, compute.ReleaseOptions{}, l.Instance), compute.ErrDenied)
	_, err := r.other.Use(r.ctx, r.bob, l.Instance)
	wantKind(t, "another's use", err, compute.ErrDenied)
	_, err = r.other.Extend(r.ctx, r.bob, time.Hour, l.Instance)
	wantKind(t, "another's extension", err, compute.ErrDenied)
	if c, err := r.other.Connect(r.ctx, r.bob, l.Instance); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("another's connection: %v", err)
		if err == nil {
			_ = c.Close()
		}
	}
	r.give(t, l)
}

// ends tests that a lease ends after its ttl, and that its release is then success.
func ends(t *testing.T, r *leaserRig) {
	req := r.ask(1)
	req.TTL = 200 * time.Millisecond
	ls, err := r.Acquire(r.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	_, err = r.Use(r.ctx, r.ann, ls[0].Instance)
	wantKind(t, "use after the end", err, compute.ErrNotLeased)
	if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, ls[0].Instance); err != nil {
		t.Errorf("to release what has ended is success: %v", err)
	}
}

// extended tests Extend with a ttl, without an end, and after the release.
func extended(t *testing.T, r *leaserRig) {
	req := r.ask(1)
	req.TTL = time.Hour
	ls, err := r.Acquire(r.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	more, err := r.Extend(r.ctx, r.ann, 3*time.Hour, ls[0].Instance)
	if err != nil || len(more) != 1 || more[0].TTL != 3*time.Hour || more[0].ID != ls[0].ID ||
		!more[0].Deadline().After(ls[0].Deadline().Add(time.Hour)) {
		t.Errorf("extended: %+v, %v", more, err)
	}
	if more, err = r.Extend(r.ctx, r.ann, -1, ls[0].Instance); err != nil || !more[0].Expires.IsZero() {
		t.Errorf("extended without end: %+v, %v", more, err)
	}
	r.give(t, ls...)
	_, err = r.Extend(r.ctx, r.ann, time.Hour, ls[0].Instance)
	if err == nil {
		t.Error("what was given back is extended")
	}
}

// used tests Use by instance and by lease id, and its refusal of another lease's id.
func used(t *testing.T, r *leaserRig) {
	l := r.take(t, 1)[0]
	for _, name := range []compute.ID{l.Instance, compute.ID(l.ID)} {
		got, err := r.Use(r.ctx, r.ann, name)
		if err != nil || got.ID != l.ID || got.Instance != l.Instance {
			t.Errorf("Use of %s: %+v, %v", name, got, err)
		}
	}
	_, err := r.Use(r.ctx, compute.Who{Owner: "ann", Lease: "another"}, l.Instance)
	if err == nil {
		t.Error("used by a lease that it is not under")
	}
	r.give(t, l)
}

// ranUnder tests that a command runs under a lease, and that there is no connection after it.
func ranUnder(t *testing.T, r *leaserRig) {
	l := r.take(t, 1)[0]
	c, err := r.Connect(r.ctx, r.ann, l.Instance)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if exit, err := c.Run(r.ctx, &compute.Command{Args: []string{"true"}}); err != nil || exit.Status() != 0 {
		t.Errorf("true: %+v, %v", exit, err)
	}
	r.give(t, l)
	if c, err := r.Connect(r.ctx, compute.Who{Owner: "ann", Lease: l.ID}, l.Instance); err == nil {
		t.Error("a connection under a lease that has ended")
		_ = c.Close()
	}
}

// waits tests that a request with a Wait is served by a release.
func waits(t *testing.T, r *leaserRig) {
	all := r.take(t, r.Maximum)
	req := r.ask(1)
	req.Wait = time.Minute
	type result struct {
		ls  []compute.Lease
		err error
	}
	got := make(chan result, 1)
	go func() {
		ls, err := r.Acquire(r.ctx, req)
		got <- result{ls, err}
	}()
	select {
	case g := <-got:
		t.Fatalf("it does not wait: %v, %v", g.ls, g.err)
	case <-time.After(200 * time.Millisecond):
	}
	r.give(t, all[0])
	g := <-got
	if g.err != nil || len(g.ls) != 1 {
		t.Fatalf("after a release: %v, %v", g.ls, g.err)
	}
	r.give(t, append(g.ls, all[1:]...)...)
}

// waitsInVain checks that a wait ends with ErrTimeout, and that it leaves nothing in the queue.
func waitsInVain(t *testing.T, r *leaserRig) {
	all := r.take(t, r.Maximum)
	req := r.ask(1)
	req.Wait = 200 * time.Millisecond
	_, err := r.Acquire(r.ctx, req)
	wantKind(t, "in vain", err, compute.ErrTimeout)
	r.give(t, all...)
	r.take(t, r.Maximum) // the one that gave up has left nothing in the queue
}

// givesUp tests that a request that ends while it waits loses no instance.
func givesUp(t *testing.T, r *leaserRig) {
	all := r.take(t, r.Maximum)
	ctx, cancel := context.WithTimeout(r.ctx, 200*time.Millisecond)
	defer cancel()
	req := r.ask(1)
	req.Wait = time.Hour
	if ls, err := r.Acquire(ctx, req); err == nil {
		t.Errorf("gave %v", ls)
	}
	r.give(t, all...)
	// A lease for a caller that has gone is released, at once or a moment later.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ls, err := r.Acquire(r.ctx, r.ask(r.Maximum))
		if err == nil {
			r.give(t, ls...)
			return
		}
		if time.Now().After(end) {
			t.Fatalf("what he waited for is lost: %v", err)
		}
	}
}

// exclusive tests that no instance is ever given to two of many concurrent workers.
func exclusive(t *testing.T, r *leaserRig) {
	var mu sync.Mutex
	has := map[compute.ID]string{}
	var all sync.WaitGroup
	for n := range 4 * r.Maximum {
		all.Go(func() {
			me := fmt.Sprint("worker ", n)
			for range 5 {
				req := r.ask(1)
				req.Wait = time.Minute
				ls, err := r.Acquire(r.ctx, req)
				if err != nil {
					t.Errorf("%s: %v", me, err)
					return
				}
				mu.Lock()
				if other := has[ls[0].Instance]; other != "" {
					t.Errorf("%s and %s have %s at once", me, other, ls[0].Instance)
				}
				has[ls[0].Instance] = me
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				delete(has, ls[0].Instance)
				mu.Unlock()
				if err := r.Release(
					r.ctx, compute.Who{Owner: "ann", Lease: ls[0].ID}, compute.ReleaseOptions{}, ls[0].Instance,
				); err != nil {
					t.Errorf("%s: %v", me, err)
				}
			}
		})
	}
	all.Wait()
}

// named tests that a lease's name is unique as long as it lives, and stands for its instance.
func named(t *testing.T, r *leaserRig) {
	req := r.ask(1)
	req.Name = "mine"
	ls, err := r.Acquire(r.ctx, req)
	if err != nil || ls[0].Name != "mine" {
		t.Fatal(ls, err)
	}
	_, err = r.Acquire(r.ctx, req)
	wantKind(t, "the same name again", err, compute.ErrConflict)
	if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, "mine"); err != nil {
		t.Errorf("by its name: %v", err)
	}
	if ls, err = r.Acquire(r.ctx, req); err != nil {
		t.Fatalf("the name is free again: %v", err)
	}
	r.give(t, ls...)
}

// unknown tests the errors of calls for a source or an instance that does not exist.
func unknown(t *testing.T, r *leaserRig) {
	req := r.ask(1)
	req.Source = "no-such-source"
	_, err := r.Acquire(r.ctx, req)
	wantKind(t, "no such source", err, compute.ErrNotFound)
	_, err = r.Use(r.ctx, r.ann, "no-such-instance")
	wantKind(t, "Use", err, compute.ErrNotFound)
	_, err = r.Extend(r.ctx, r.ann, time.Hour, "no-such-instance")
	wantKind(t, "Extend", err, compute.ErrNotFound)
	wantKind(t, "Release", r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, "no-such-instance"), compute.ErrNotFound)
	_, err = r.Connect(r.ctx, r.ann, "no-such-instance")
	wantKind(t, "Connect", err, compute.ErrNotFound)
	req = r.ask(-1)
	_, err = r.Acquire(r.ctx, req)
	wantKind(t, "fewer than none", err, compute.ErrInvalid)
}
