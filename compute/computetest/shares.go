package computetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// part returns a request for a part of an instance.
func (r *leaserRig) part(t *testing.T, cores float64) compute.Request {
	t.Helper()
	if r.Shared == "" {
		t.Skip("shares: there is no source for them")
	}
	return compute.Request{Source: r.Shared, Count: 1, Owner: "ann", Cores: cores}
}

func (r *leaserRig) takePart(t *testing.T, req compute.Request) compute.Lease {
	t.Helper()
	ls, err := r.Acquire(r.ctx, req)
	if err != nil || len(ls) != 1 {
		t.Fatalf("Acquire of %v cores: %v %v", req.Cores, ls, err)
	}
	return ls[0]
}

// shares tests that leases share the fullest instance with room, and that each ends by itself.
func shares(t *testing.T, r *leaserRig) {
	req := r.part(t, 3)
	req.Memory = 1000
	a := r.takePart(t, req)
	if a.Share == nil || a.Share.Cores != 3 || a.Share.Memory != 1000 {
		t.Fatalf("the lease of a part is %+v: %+v", a, a.Share)
	}
	b := r.takePart(t, r.part(t, 2))
	c := r.takePart(t, r.part(t, 0)) // a core, where nothing is said
	if b.Instance == a.Instance || c.Instance != a.Instance || c.Share == nil || c.Share.Cores != 1 ||
		c.Generation != a.Generation || c.ID == a.ID {
		t.Errorf("3 cores of %s, 2 of %s, 1 of %s: %+v", a.Instance, b.Instance, c.Instance, c)
	}
	d := r.takePart(t, r.part(t, -1)) // none at all, beside full ones
	if d.Instance != a.Instance || d.Share == nil || d.Share.Cores != 0 {
		t.Errorf("no cores: %+v", d)
	}
	_, err := r.Acquire(r.ctx, r.part(t, 2.1))
	wantKind(t, "more than is free", err, compute.ErrNoCapacity)
	_, err = r.Acquire(r.ctx, r.part(t, 5))
	wantKind(t, "more than any has", err, compute.ErrNoCapacity)
	if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, compute.ID(a.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Use(r.ctx, compute.Who{Owner: "ann", Lease: c.ID}, c.Instance); err != nil {
		t.Errorf("a neighbour's end: %v", err)
	}
	_, err = r.Use(r.ctx, compute.Who{Owner: "ann", Lease: a.ID}, a.Instance)
	wantKind(t, "the use of one that has ended", err, compute.ErrConflict)
	e := r.takePart(t, r.part(t, 2.1))
	if e.Instance != a.Instance {
		t.Errorf("what came free of %s was not given, but %s", a.Instance, e.Instance)
	}
	for _, l := range []compute.Lease{a, b, c, d, e} { // the first is over already
		if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, compute.ID(l.ID)); err != nil {
			t.Error(err)
		}
	}
}

// sharesOver tests that many concurrent requests never get more than there is.
func sharesOver(t *testing.T, r *leaserRig) {
	r.part(t, 1)
	type has struct {
		cores  float64
		memory int64
	}
	var mu sync.Mutex
	booked := map[compute.ID]has{}
	var all sync.WaitGroup
	for n := range 12 {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(n), 1))
			for range 5 {
				req := r.part(t, float64(1+dice.IntN(40))/10)
				req.Memory, req.Wait = dice.Int64N(1<<20), time.Minute
				ls, err := r.Acquire(r.ctx, req)
				if err != nil {
					t.Errorf("%v cores: %v", req.Cores, err)
					return
				}
				l := ls[0]
				mu.Lock()
				now := booked[l.Instance]
				now.cores, now.memory = now.cores+req.Cores, now.memory+req.Memory
				if now.cores > 4.0001 || now.memory > 1<<20 {
					t.Errorf("of %s %v cores and %d bytes are booked", l.Instance, now.cores, now.memory)
				}
				booked[l.Instance] = now
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				now = booked[l.Instance]
				booked[l.Instance] = has{now.cores - req.Cores, now.memory - req.Memory}
				mu.Unlock()
				if err := r.Release(r.ctx, compute.Who{Owner: "ann", Lease: l.ID}, compute.ReleaseOptions{}, l.Instance); err != nil {
					t.Errorf("release: %v", err)
				}
			}
		})
	}
	all.Wait()
	// Nothing is left booked: both instances can be had whole.
	for range 2 {
		r.takePart(t, r.part(t, 4))
	}
}

// sharesWhose tests that an instance's name means the caller's own lease on it, if there is one.
func sharesWhose(t *testing.T, r *leaserRig) {
	a := r.takePart(t, r.part(t, 1))
	req := r.part(t, 1)
	req.Owner = "bob"
	ls, err := r.other.Acquire(r.ctx, req)
	if err != nil || ls[0].Instance != a.Instance {
		t.Fatal(ls, err)
	}
	b := ls[0]
	if l, err := r.Use(r.ctx, r.ann, a.Instance); err != nil || l.ID != a.ID {
		t.Errorf("ann's by the instance: %v %v", l.ID, err)
	}
	if l, err := r.other.Use(r.ctx, r.bob, a.Instance); err != nil || l.ID != b.ID {
		t.Errorf("bob's by the instance: %v %v", l.ID, err)
	}
	wantKind(t, "bob releases ann's", r.other.Release(r.ctx, r.bob, compute.ReleaseOptions{}, compute.ID(a.ID)), compute.ErrDenied)
	c := r.takePart(t, r.part(t, 1))
	for what, err := range map[string]error{
		"use": second(r.Use(r.ctx, r.ann, a.Instance)), "release": r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, a.Instance),
		"extend": second(r.Extend(r.ctx, r.ann, time.Hour, a.Instance)), "connect": second(r.Connect(r.ctx, r.ann, a.Instance)),
	} {
		wantKind(t, what+" where two are meant", err, compute.ErrConflict)
		if text := fmt.Sprint(err); !strings.Contains(text, a.ID) || !strings.Contains(text, c.ID) || strings.Contains(text, b.ID) {
			t.Errorf("%s: it does not name the two: %s", what, text)
		}
	}
	conn, err := r.Connect(r.ctx, r.ann, compute.ID(c.ID))
	if err != nil {
		t.Fatalf("by the lease's id: %v", err)
	}
	_ = conn.Close()
	wantKind(
		t, "what others have parts of is discarded",
		r.other.Release(r.ctx, r.bob, compute.ReleaseOptions{Force: true}, b.Instance), compute.ErrConflict,
	)
	if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, compute.ID(a.ID), compute.ID(c.ID)); err != nil {
		t.Error(err)
	}
	if err := r.other.Release(r.ctx, r.bob, compute.ReleaseOptions{Force: true}, b.Instance); err != nil {
		t.Error(err)
	}
}

// sharesWait tests that a waiting request gets room when a neighbour goes.
func sharesWait(t *testing.T, r *leaserRig) {
	full := []compute.Lease{r.takePart(t, r.part(t, 4)), r.takePart(t, r.part(t, 2)), r.takePart(t, r.part(t, 2))}
	got := make(chan error, 1)
	go func() {
		req := r.part(t, 3)
		req.Wait = time.Minute
		ls, err := r.Acquire(r.ctx, req)
		if err == nil && ls[0].Instance != full[0].Instance {
			err = fmt.Errorf("it got %s", ls[0].Instance)
		}
		got <- err
	}()
	time.Sleep(50 * time.Millisecond)
	for _, n := range []int{1, 0} { // two cores are not enough
		if err := r.Release(r.ctx, r.ann, compute.ReleaseOptions{}, compute.ID(full[n].ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
