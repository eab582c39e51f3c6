package pool

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Order, Passes and Patience let tests look at the order of the queue itself.
var (
	Passes = passes
)

const Patience = patience

// Order is order, with what projects have and their weights.
func Order(ws []*compute.Waiter, held, weight map[string]float64) []*compute.Waiter {
	return order(ws, func(p string) claim { return claim{held[p], weight[p]} })
}

// Hold is how long leases last, of which some ended after so long and others have lasted so long.
func Hold(ended, living []time.Duration) time.Duration {
	now := time.Now()
	t := &tempo{out: map[compute.ID]time.Time{}}
	for _, d := range ended {
		t.ended(d)
	}
	for n, d := range living {
		t.out[compute.ID(fmt.Sprint(n))] = now.Add(-d)
	}
	return t.hold(now)
}
