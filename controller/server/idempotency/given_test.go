package idempotency

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// lists is an engine that lists leases; the first time it does not come back before its context
// ends.
type lists struct {
	Engine
	asked atomic.Int32
}

func (l *lists) Leases(ctx context.Context, _ inventory.LeaseQuery) ([]compute.Lease, error) {
	if l.asked.Add(1) == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []compute.Lease{{ID: "l-1", Labels: map[string]string{api.KeyLabel: "mark digest"}}}, nil
}

// TestGivenHangs: who waits for what another finds of before heeds his own context, and after a
// while looks himself: a look that hangs holds up nobody but who began it.
func TestGivenHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g given
		e := &lists{}
		first, hangUp := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := g.find(first, e, "mark")
			done <- err
		}()
		synctest.Wait()
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.find(short, e, "mark"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("who waits a second: %v after %v", err, time.Since(began))
		}
		if found, err := g.find(t.Context(), e, "mark"); err != nil || len(found) != 1 || time.Since(began) > time.Minute {
			t.Errorf("who waits on: %v, %v after %v", found, err, time.Since(began))
		}
		if found, err := g.find(t.Context(), e, "mark"); err != nil || len(found) != 1 || e.asked.Load() != 2 {
			t.Errorf("who comes then: %v, %v, and %d lists", found, err, e.asked.Load())
		}
		hangUp()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("who looked first: %v", err)
		}
	})
}

// TestGivenFails: where the look of one fails another of those who wait looks, at once.
func TestGivenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g given
		e := &lists{}
		first, hangUp := context.WithCancel(t.Context())
		go func() { _, _ = g.find(first, e, "mark") }()
		synctest.Wait()
		began := time.Now()
		time.AfterFunc(time.Second, hangUp)
		if found, err := g.find(t.Context(), e, "mark"); err != nil || len(found) != 1 || time.Since(began) != time.Second {
			t.Errorf("who waited: %v, %v after %v", found, err, time.Since(began))
		}
	})
}
