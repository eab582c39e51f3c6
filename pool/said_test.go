package pool_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// TestSaid: what status, events and who waits show of a failure speaks of the instance, and not of
// what our code calls what it did.
func TestSaid(t *testing.T) {
	inBubble(t, nil, web(func(*pool.Source) {}), func(t *testing.T, ctx context.Context, r *rig) {
		r.fail = func(_, op string, id compute.ID) error {
			if op != "create" {
				return nil
			}
			return &compute.Error{Op: "cloud.Boot", ID: id, Kind: compute.ErrNoCapacity, Err: errors.New("no node takes it")}
		}
		_, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann"})
		if err == nil {
			t.Fatal("it was given one")
		}
		said := []string{r.status(t, ctx, "web").LastError}
		es, err := r.Events(ctx, inventory.EventQuery{})
		must(t, err)
		for _, e := range es {
			said = append(said, e.Text)
		}
		if all := strings.Join(said, "\n"); strings.Contains(all, "cloud.Boot") || strings.Contains(all, "fake.") ||
			!strings.Contains(said[0], "no node takes it") {
			t.Errorf("said is %q", said)
		}
	})
}
