package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// The bubble's clock is the machine's wall clock here. How long the machine has run is what a test
// says: to let an hour pass of which the machine knows nothing is to have its clock set forward by
// one.

// machine runs for as long as the bubble, but for what its clock was set.
type machine struct {
	began time.Time
	run   string
	set   time.Duration // forward
}

func (m *machine) uptime() (string, time.Duration, error) {
	return m.run, time.Since(m.began) - m.set, nil
}

// forward sets the clock.
func (m *machine) forward(by time.Duration) {
	m.set += by
	time.Sleep(by)
}

func onMachine(t *testing.T, host string, f func(t *testing.T, ctx context.Context, r *rig, m *machine, anew func() *rig)) {
	t.Helper()
	m := &machine{run: "first"}
	change := func(o *pool.Options) { o.Uptime, o.Host = m.uptime, host }
	sources := web(func(s *pool.Source) { s.Reserve = 1 })
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		m.began = time.Now()
		f(t, ctx, r, m, func() *rig { return newRigOn(t, r.store, r.clouds, sources, change) })
	})
}

// TestClockForward: a clock that is set forward ends no lease, for whoever looks first and however
// often it is set; time that passes does.
func TestClockForward(t *testing.T) {
	for _, c := range []struct {
		name, host string
		anew       bool
	}{{"the same process", "", false}, {"the next process", "", true}, {"a store that machines share", "here", false}} {
		t.Run(c.name, func(t *testing.T) {
			onMachine(t, c.host, func(t *testing.T, ctx context.Context, r *rig, m *machine, anew func() *rig) {
				l := r.take(t, ctx, compute.Request{TTL: 30 * time.Minute})
				idle := r.take(t, ctx, compute.Request{Idle: 20 * time.Minute})
				_, err := r.RunDue(ctx)
				must(t, err)
				lives := func(is bool) {
					t.Helper()
					if c.anew {
						r = anew()
					}
					for _, id := range []compute.ID{l.Instance, idle.Instance} {
						// before anybody has noticed
						if _, err := r.Authorize(ctx, ann, id); (err == nil) != is {
							t.Errorf("%s lives: %v, %v", id, err == nil, err)
						}
					}
					if _, err := r.RunDue(ctx); err != nil {
						t.Error(err)
					}
					for _, id := range []compute.ID{l.Instance, idle.Instance} {
						if _, err := r.Authorize(ctx, ann, id); (err == nil) != is {
							t.Errorf("after a look %s lives: %v, %v", id, err == nil, err)
						}
					}
				}
				lives(true)
				for range 2 {
					m.forward(time.Hour)
					lives(true)
				}
				time.Sleep(19 * time.Minute)
				lives(true)
				time.Sleep(15 * time.Minute)
				lives(false)
				es, err := r.Events(ctx, inventory.EventQuery{})
				must(t, err)
				told := 0
				for _, e := range es {
					if e.Kind == "clock" {
						told++
					}
				}
				if want := map[string]int{"": 2}[c.host]; told != want {
					t.Errorf("the journal tells of it %d times, want %d", told, want)
				}
			})
		})
	}
}

// TestClockBack: a clock that is set back ends no lease, and keeps nothing for much longer than it
// was to be kept.
func TestClockBack(t *testing.T) {
	onMachine(t, "", func(t *testing.T, ctx context.Context, r *rig, m *machine, anew func() *rig) {
		m.forward(24 * time.Hour) // somebody sets it wrong before anybody looks
		_, err := r.RunDue(ctx)
		must(t, err)
		r.fail = func(_, op string, _ compute.ID) error {
			if op == "create" {
				return errors.New("no")
			}
			return nil
		}
		for range 3 {
			if _, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"}); err == nil {
				t.Fatal("it was made")
			}
		}
		r.fail = nil
		time.Sleep(time.Hour)
		l := r.take(t, ctx, compute.Request{TTL: 30 * time.Minute, Idle: 20 * time.Minute})
		// what is recorded lies a day ahead of a clock that is set back by one
		must(t, r.store.Update(ctx, func(tx store.Tx) error {
			le, err := tx.Lease(l.ID)
			if err != nil {
				return err
			}
			le.Used, le.Expires = le.Used.Add(24*time.Hour), le.Expires.Add(24*time.Hour)
			rec, err := tx.Source("web", "d")
			if err != nil {
				return err
			}
			rec.Paused = time.Now().Add(24 * time.Hour)
			return errors.Join(tx.SaveLease(le), tx.SaveSource(rec))
		}))
		m.set -= 24 * time.Hour
		_, err = r.RunDue(ctx)
		must(t, err)
		if _, err := r.Authorize(ctx, ann, l.Instance); err != nil {
			t.Errorf("its lease ended: %v", err)
		}
		if s, err := r.Status(ctx); err != nil || time.Until(s[0].Paused) > 10*time.Minute {
			t.Errorf("the source is paused for %v, %v", time.Until(s[0].Paused), err)
		}
		time.Sleep(31 * time.Minute)
		if _, err := r.Authorize(ctx, ann, l.Instance); err == nil {
			t.Error("its lease lasts on")
		}
	})
}

// TestClockAndSleep: a machine that was started anew, or whose clocks drift apart a little each
// day, or that was asleep, is not one whose clock was set.
func TestClockAndSleep(t *testing.T) {
	onMachine(t, "", func(t *testing.T, ctx context.Context, r *rig, m *machine, anew func() *rig) {
		l := r.take(t, ctx, compute.Request{TTL: 30 * time.Hour})
		for range 24 * 4 { // for a day
			time.Sleep(15 * time.Minute)
			m.set += time.Second
			_, err := r.RunDue(ctx)
			must(t, err)
		}
		time.Sleep(5 * time.Hour) // asleep, which is time
		if ls, err := r.Leases(ctx, inventory.LeaseQuery{}); err != nil || len(ls) != 1 || !ls[0].Expires.Equal(l.Expires) {
			t.Errorf("its end was moved: %+v, %v", ls, err)
		}
		m.run, m.set = "second", 0
		time.Sleep(90 * time.Minute)
		_, err := r.RunDue(ctx)
		must(t, err)
		if _, err := r.Authorize(ctx, ann, l.Instance); err == nil {
			t.Error("it lives, and its ttl is over")
		}
	})
}

// TestClockAndInstances: a clock that is set, forward or back, has no instance be idle or held for
// longer: neither for who notices it first, nor afterwards. Time that passes does, and what was
// recorded by a clock that was set back is not kept for the hours that it lies ahead.
func TestClockAndInstances(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*pool.Source)
		fails  bool // it fails to be cleaned, and is held
	}{
		{"idle", func(s *pool.Source) { s.Idle = 30 * time.Minute }, false},
		{"held", func(s *pool.Source) { s.Reserve, s.OnFailure, s.ConfirmDead = 1, "hold", 30*time.Minute }, true},
	} {
		for _, forward := range []bool{true, false} {
			for _, anew := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/forward=%v/anew=%v", c.name, forward, anew), func(t *testing.T) {
					m := &machine{run: "first"}
					change := func(o *pool.Options) { o.Uptime = m.uptime }
					sources := web(func(s *pool.Source) { s.Maximum = 1; c.change(s) })
					inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
						m.began = time.Now()
						r.fail = func(_, op string, _ compute.ID) error {
							if c.fails && op == "clean" {
								return errors.New("the disk is gone")
							}
							return nil
						}
						first := r.take(t, ctx, compute.Request{})
						_, err := r.RunDue(ctx)
						must(t, err)
						// whose cleaning may fail
						_ = r.Release(ctx, ann, compute.ReleaseOptions{}, first.Instance)
						there := func(is bool, when string) {
							t.Helper()
							if anew {
								r = newRigOn(t, r.store, r.clouds, sources, change)
							}
							_, err := r.RunDue(ctx)
							must(t, err)
							if has := slices.Contains(r.clouds["web"].IDs(), string(first.Instance)); has != is {
								t.Fatalf("%s: it is there: %v, want %v", when, has, is)
							}
						}
						there(true, "at first")
						time.Sleep(10 * time.Minute)
						if forward {
							m.forward(5 * time.Hour)
						} else {
							// what is recorded lies hours ahead of a clock that is set back by them
							must(t, r.store.Update(ctx, func(tx store.Tx) error {
								i, err := tx.Instance(first.Instance)
								if err != nil {
									return err
								}
								for _, at := range []*time.Time{&i.Since, &i.ReadyAt, &i.Retry} {
									if !at.IsZero() {
										*at = at.Add(5 * time.Hour)
									}
								}
								return tx.SaveInstance(i)
							}))
							m.set -= 5 * time.Hour
						}
						there(true, "when the clock was set")
						time.Sleep(19 * time.Minute)
						there(true, "before its time")
						// set back, nobody can tell how long it was before
						time.Sleep(12 * time.Minute)
						there(false, "after its time")
					})
				})
			}
		}
	}
}
