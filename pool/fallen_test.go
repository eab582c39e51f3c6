package pool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"

	"github.com/hostler-project/hostler/store"
)

// TestFallen: who is given a computer that has ended, and nobody knew, is told that by the way in;
// who gives it back as that says why. Then it goes, with what a pool has it from, and whoever had
// it is told that too.
func TestFallen(t *testing.T) {
	sources := []pool.Source{
		// so that what only comes back is given again
		{Name: "a", Type: "fake", Digest: "d", Reserve: 2, Maximum: 4, Reuse: "as-is"},
		{Name: "both", Type: "pool", Digest: "d", Children: []string{"a"}},
	}
	inBubble(t, nil, sources, func(t *testing.T, ctx context.Context, r *rig) {
		for _, source := range []string{"a", "both"} {
			_, err := r.Fill(ctx, "a")
			must(t, err)
			l := r.take(t, ctx, compute.Request{Source: source})
			leaf, err := r.Leaf(ctx, l.Instance)
			must(t, err)
			must(t, r.fakes["a"].Destroy(ctx, leaf.ID))
			_, err = r.Connect(ctx, ann, l.Instance)
			if kind(t, err, compute.ErrNotFound); !errors.Is(err, compute.ErrEnded) {
				t.Errorf("%s: the way in says %v", l.Instance, err)
			}
			must(
				t,
				r.Release(
					ctx, compute.Who{Owner: "ann", Lease: l.ID},
					compute.ReleaseOptions{Ended: "there is no such computer\n"}, l.Instance,
				),
			)
			for _, id := range []compute.ID{l.Instance, leaf.ID} {
				if s := r.state(t, ctx, id); s != "gone" {
					t.Errorf("%s is %s", id, s)
				}
				events, err := r.Events(ctx, inventory.EventQuery{Instance: id})
				must(t, err)
				told := false
				for _, e := range events {
					told = told || e.Kind == "released" && e.Text == "its computer has ended: there is no such computer"
				}
				if !told {
					t.Errorf("of %s is told %+v", id, events)
				}
			}
			_, err = r.Connect(ctx, ann, l.Instance)
			if kind(t, err, compute.ErrNotLeased); !errors.Is(err, compute.ErrEnded) || !strings.Contains(err.Error(), "no such computer") {
				t.Errorf("whose it was is told %v", err)
			}
		}
	})
}

// TestFallenShare: who has a part of a computer gives that back alone, whatever he says of it:
// others have theirs.
func TestFallenShare(t *testing.T) {
	inBubble(t, withFacts(four), sharing(func(s *pool.Source) { s.Maximum = 1 }), func(t *testing.T, ctx context.Context, r *rig) {
		one, other := r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{})
		if one.Instance != other.Instance {
			t.Fatalf("%s and %s", one.Instance, other.Instance)
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Ended: "it says"}, compute.ID(one.ID)))
		_, err := r.Use(ctx, ann, compute.ID(other.ID))
		must(t, err)
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Ended: "it says"}, compute.ID(other.ID)))
		if s := r.state(t, ctx, one.Instance); s != "gone" {
			t.Errorf("it is %s", s)
		}
	})
}

// TestUseOfSource makes sure that the name of a source is not taken for one of an instance that is
// no more: whoever names it gets an instance of the source.
func TestUseOfSource(t *testing.T) {
	r := newRig(t, t.TempDir(), nil, []pool.Source{{Name: "web", Type: "fake"}}, nil)
	err := r.store.Update(t.Context(), func(tx store.Tx) error {
		for _, id := range []compute.ID{"web", "web-1"} {
			l := &compute.Lease{ID: "of-" + string(id), Instance: id, Owner: ann.Owner, Source: "web"}
			if err := tx.InsertLease(l); err != nil {
				return err
			}
			l.Ended, l.Cause, l.Why = time.Now(), inventory.CauseEnded, "its computer has ended"
			if err := tx.SaveLease(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[compute.ID]error{"web": compute.ErrNotFound, "web-1": compute.ErrNotLeased} {
		if _, err := r.Use(t.Context(), ann, id); !errors.Is(err, want) {
			t.Errorf("use of %s: got %v, want %v", id, err, want)
		}
	}
}
