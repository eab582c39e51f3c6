package imagecache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/store"
)

// mortal is a process that is killed at a step: before or after something was recorded, before or
// after a service has taken a command. Afterwards it does nothing any more.
type mortal struct {
	st store.Transactor
	m  *machines

	mu   sync.Mutex
	left int // steps to live
	end  context.CancelFunc
}

var errKilled = errors.New("killed")

// lives reports whether it does after one more step.
func (k *mortal) lives() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left--; k.left <= 0 {
		k.end()
	}
	return k.left > 0
}

func (k *mortal) killed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left <= 0
}

func (k *mortal) step(fn func() error) error {
	if !k.lives() {
		return errKilled
	}
	err := fn()
	if !k.lives() {
		return errKilled
	}
	return err
}

func (k *mortal) Update(ctx context.Context, fn func(store.Tx) error) error {
	return k.step(func() error { return k.st.Update(context.WithoutCancel(ctx), fn) })
}

func (k *mortal) View(ctx context.Context, fn func(store.Tx) error) error {
	if k.killed() {
		return errKilled
	}
	return k.st.View(ctx, fn)
}

func (k *mortal) Cache(ctx context.Context, node string, image metal.Image) error {
	return k.step(func() error { return k.m.Cache(ctx, node, image) })
}

func (k *mortal) Eject(ctx context.Context, node string) error {
	return k.step(func() error { return k.m.Eject(ctx, node) })
}

// TestKilled kills the process at each step of writing images and of rolling a new one out, some of
// whose writes fail. Whoever goes on begins nothing twice (machines would say so) and forgets
// nothing. A service shows at once what it has begun, or late.
func TestKilled(t *testing.T) {
	for n, lag := range []time.Duration{0, 5 * time.Minute} {
		// with one of the lags the even steps, with the other the odd ones
		for at, killed := 1+n, true; killed; at += 2 {
			if at > 500 {
				t.Fatal("it does not come to an end")
			}
			t.Run(fmt.Sprintf("%v/%d", lag, at), func(t *testing.T) {
				onStage(t, 4, func(s *stage) {
					s.m.lag, s.opt.MaxEjectFraction = lag, 1
					s.opt.PollSpacing, s.opt.DirectiveSpacing = 6*time.Minute, 6*time.Minute
					s.m.change("n01", func(n *machine) { n.fails = 1 })
					s.m.change("n02", func(n *machine) { n.fails = 1 })
					killed = s.runKilled(at)
					s.run(3 * time.Hour)
					s.ready(map[string]int{"u2": 1, "c1": 1})
					for id, f := range s.flights() {
						if f.UnderWay() || f.Quarantined() {
							s.Errorf("%s is left %s: %s", id, f.State, f.Error)
						}
					}
				})
			})
		}
	}
}

// runKilled runs a loop of which it is the life to write two images, and after half an hour a new
// one in place of the first. It reports whether it was killed.
func (s *stage) runKilled(at int) bool {
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Hour+time.Second)
	defer cancel()
	k := &mortal{st: s.st, m: s.m, left: at, end: cancel}
	opt := s.opt
	opt.Store, opt.Commander = k, k
	l, err := imagecache.New(opt)
	if err != nil {
		s.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	time.Sleep(30*time.Minute + time.Second)
	s.m.set(func() { s.m.images[0] = metal.Image{ID: "u2", Name: "ubuntu"} })
	<-done
	return k.killed()
}

// TestTwoProcesses has two processes on one store, which begin nothing twice.
func TestTwoProcesses(t *testing.T) {
	onStage(t, 12, func(s *stage) {
		ctx, cancel := context.WithTimeout(s.Context(), time.Hour+time.Second)
		defer cancel()
		s.opt.Strategy = &strategy.Proportional{Share: 1}
		s.opt.Told = nil
		var all sync.WaitGroup
		for range 2 {
			l, err := imagecache.New(s.opt)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { _ = l.Run(ctx) })
		}
		all.Wait()
		got := s.m.ready()
		if n := len(s.m.told()); n != 12 || got["u1"]+got["c1"] != 12 {
			t.Errorf("%d commands for 12 nodes: %v", n, got)
		}
	})
}

// TestClockBack takes a record of the future for one of now.
func TestClockBack(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		s.m.refuse = &compute.Error{Kind: compute.ErrTimeout, Err: errors.New("no answer")}
		time.Sleep(24 * time.Hour)
		if _, err := s.once(); err != nil {
			t.Fatal(err)
		}
		ahead := maps.Collect(maps.All(s.flights()))
		for _, f := range ahead {
			f.Begun = f.Begun.Add(1000 * time.Hour)
			s.plant(f)
		}
		s.m.set(func() { s.m.refuse = nil })
		s.run(time.Hour)
		s.ready(map[string]int{"u1": 1})
	})
}
