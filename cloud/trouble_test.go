package cloud_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
)

// indestructible has a cloud refuse to destroy servers for as long as the flag is set.
func (s *sky) indestructible() *atomic.Bool {
	flag := new(atomic.Bool)
	s.options.Fail = func(op string, id compute.ID) error {
		if op == "destroy" && flag.Load() {
			return &compute.Error{Op: op, ID: id, Kind: compute.ErrUnavailable, Err: errors.New("no answer")}
		}
		return nil
	}
	return flag
}

// TestIdleWhileTheCloudIsDown: an idle server goes when the cloud is back, though nobody asks for
// it again.
func TestIdleWhileTheCloudIsDown(t *testing.T) {
	s := newSky()
	down := s.indestructible()
	bubble(t, s, nil, func(t *testing.T, p process) {
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small", TTD: time.Second}))(t)
		down.Store(true)
		srv.StartCountdown()
		time.Sleep(time.Hour)
		if len(s.computers.IDs()) != 1 || !srv.Destroyed() {
			t.Fatalf("there are %v", s.computers.IDs())
		}
		down.Store(false)
		time.Sleep(5 * time.Minute)
		if len(s.computers.IDs()) != 0 {
			t.Errorf("it is still there: %v", s.computers.IDs())
		}
		if _, err := p.TearDown(t.Context(), false); err != nil {
			t.Error(err)
		}
	})
}

// TestRecoverDestroysAgain: what Destroy could not destroy, Recover does, also in the process that
// failed.
func TestRecoverDestroysAgain(t *testing.T) {
	s := newSky()
	down := s.indestructible()
	bubble(t, s, nil, func(t *testing.T, p process) {
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"}))(t)
		if err := p.Recover(t.Context()); err != nil || srv.Destroyed() {
			t.Fatalf("a living server: %v", err)
		}
		down.Store(true)
		if err := srv.Destroy(t.Context()); !errors.Is(err, compute.ErrTimeout) {
			t.Fatal(err)
		}
		down.Store(false)
		if err := p.Recover(t.Context()); err != nil || len(s.computers.IDs()) != 0 {
			t.Errorf("%v, and there are %v", err, s.computers.IDs())
		}
	})
}

// TestRecoverWhileSpawning: what this process is spawning at that moment is not half made.
func TestRecoverWhileSpawning(t *testing.T) {
	for _, slow := range []string{"create", "boot"} {
		t.Run(slow, func(t *testing.T) {
			s := newSky()
			if s.options.CreateTime = 10 * time.Minute; slow == "boot" {
				s.options.CreateTime, s.options.Boot = 0, 10*time.Minute
			}
			bubble(t, s, nil, func(t *testing.T, p process) {
				done := make(chan error, 1)
				go func() {
					_, err := p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"})
					done <- err
				}()
				time.Sleep(time.Minute)
				must(p.Deploy(t.Context(), cloud.DeployConfig{}))(t) // which recovers
				if err := <-done; err != nil || len(s.computers.IDs()) != 1 {
					t.Errorf("%v, and there are %v", err, s.computers.IDs())
				}
			})
		})
	}
}

// TestAbandonedSpawn: who gives up waiting for a server leaves none, and it is no failure after
// which the next one waits.
func TestAbandonedSpawn(t *testing.T) {
	s := newSky()
	s.options.Boot = time.Hour
	bubble(t, s, func(o *cloud.Options) { o.Timers.Backoff = 30 * time.Minute; o.Timers.MostBackoff = 30 * time.Minute }, func(t *testing.T, p process) {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			began := time.Now()
			_, err := p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"})
			cancel()
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Minute || len(s.computers.IDs()) != 0 {
				t.Errorf("after %v: %v, and there are %v", took, err, s.computers.IDs())
			}
		}
		if n := s.computers.Made(); n != 2 {
			t.Errorf("%d were made: the second Spawn waited", n)
		}
	})
}

// TestOpenedByAnother: who waits for a provider that another caller opens has it, though that one
// gives up.
func TestOpenedByAnother(t *testing.T) {
	s, file := newSky(), state(t)
	synctest.Test(t, func(t *testing.T) {
		p := start(t, s, file, nil)
		defer p.stop(t)
		s.opening = func(ctx context.Context) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, err := p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"})
			first <- err
		}()
		time.Sleep(time.Second)
		if _, err := p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"}); err != nil {
			t.Error(err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestRefused: who is refused is told at once; where the answer was lost it is waited for what may
// still come.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		kind  error
		waits bool
	}{
		{compute.ErrNoCapacity, false}, {compute.ErrTooLarge, false}, {compute.ErrInvalid, false},
		{compute.ErrUnavailable, true}, {compute.ErrTimeout, true}, {compute.ErrFailed, true},
	} {
		t.Run(c.kind.Error(), func(t *testing.T) {
			s := newSky()
			s.options.Fail = func(op string, id compute.ID) error {
				if op == "create" {
					return &compute.Error{Op: op, ID: id, Kind: c.kind, Err: errors.New("on purpose")}
				}
				return nil
			}
			bubble(t, s, nil, func(t *testing.T, p process) {
				began := time.Now()
				_, err := p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"})
				if took := time.Since(began); !errors.Is(err, c.kind) || c.waits != (took >= time.Minute) ||
					!c.waits && took > time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}
