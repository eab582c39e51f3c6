package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

var states = []compute.State{
	compute.Creating, compute.SettingUp, compute.Ready, compute.Leased, compute.Cleaning, compute.Failed,
	compute.Discarding, compute.Held,
}

// counts: after any operations by any handles, some of which fail, the counts of all sources equal
// a recount, also in the midst of a transaction. The records equal those of a plain map.
func counts(t *testing.T, r *rig) {
	stores := []Handle{r.Handle, r.open(), r.open()}
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		var keys []int64
		for n := range 3 {
			rec := &store.SourceRecord{Name: fmt.Sprintf("s%d-%d", run, n)}
			if err := r.Update(context.Background(), func(tx store.Tx) error { rec.Key = 0; return tx.SaveSource(rec) }); err != nil {
				t.Fatal(err)
			}
			keys = append(keys, rec.Key)
		}
		model := map[compute.ID]compute.Instance{}
		stale := map[compute.ID]*compute.Instance{} // as they were read some time ago
		made := 0
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			s := rapid.SampledFrom(stores).Draw(t, "handle")
			next := map[compute.ID]compute.Instance{}
			type step struct {
				op    string
				key   int64
				state compute.State
				pick  int
			}
			var steps []step
			for range rapid.IntRange(1, 6).Draw(t, "steps") {
				steps = append(steps, step{rapid.SampledFrom([]string{
					"new", "new", "change", "change", "stale", "drop", "drop twice", "same name", "look", "source",
				}).Draw(t, "op"),
					rapid.SampledFrom(keys).Draw(t, "source"), rapid.SampledFrom(states).Draw(t, "state"),
					rapid.IntRange(0, 50).Draw(t, "pick")})
			}
			fails := rapid.IntRange(0, 3).Draw(t, "fails") == 0
			begin := made
			err := s.Update(context.Background(), func(tx store.Tx) error {
				made = begin
				clear(next)
				var ids []compute.ID
				for n := range made {
					id := compute.ID(fmt.Sprintf("r%d-%d", run, n))
					if i, ok := model[id]; ok {
						next[id] = i
						ids = append(ids, id)
					}
				}
				for _, c := range steps {
					var id compute.ID
					if len(ids) > 0 {
						id = ids[c.pick%len(ids)]
					}
					_, there := next[id]
					switch {
					case c.op == "look":
						if err := recounted(tx); err != nil {
							return err
						}
					case c.op == "source":
						rec, err := tx.SourceByKey(c.key)
						if err != nil {
							return err
						}
						rec.Failures++
						if err := tx.SaveSource(rec); err != nil {
							return err
						}
					case c.op == "new":
						i := compute.Instance{ID: compute.ID(fmt.Sprintf("r%d-%d", run, made)), SourceKey: c.key, State: c.state}
						made++
						if err := tx.SaveInstance(&i); err != nil {
							return err
						}
						next[i.ID] = i
						ids = append(ids, i.ID)
					case c.op == "same name" && there:
						if err := tx.SaveInstance(&compute.Instance{
							ID: id, SourceKey: c.key, State: c.state,
						}); !errors.Is(err, compute.ErrConflict) {
							return fmt.Errorf("a name twice: %w", err)
						}
					case c.op == "change" && there:
						i, err := tx.Instance(id)
						if err != nil {
							return err
						}
						if i.State != next[id].State || i.SourceKey != next[id].SourceKey {
							return fmt.Errorf("%s is %s, want %s", id, i.State, next[id].State)
						}
						i.State = c.state
						if err := tx.SaveInstance(i); err != nil {
							return err
						}
						next[id] = *i
					case c.op == "stale" && there && stale[id] != nil:
						i := *stale[id]
						i.State = c.state
						if err := tx.SaveInstance(&i); err != nil {
							return err
						}
						next[id] = i
					case (c.op == "drop" || c.op == "drop twice") && there:
						i := next[id]
						if err := tx.DropInstance(&i); err != nil {
							return err
						}
						if c.op == "drop twice" {
							if err := tx.DropInstance(&i); err != nil {
								return err
							}
							if err := tx.SaveInstance(&i); !errors.Is(err, compute.ErrNotFound) {
								return fmt.Errorf("a dropped one was saved: %w", err)
							}
						}
						delete(next, id)
					}
				}
				if err := recounted(tx); err != nil {
					return err
				}
				if fails {
					return errMine
				}
				return nil
			})
			switch {
			case fails && errors.Is(err, errMine):
				made = begin
			case fails || err != nil:
				t.Fatal(err)
			default:
				model = map[compute.ID]compute.Instance{}
				for id, i := range next {
					model[id] = i
					if stale[id] == nil || len(stale)%2 == 0 {
						c := i
						stale[id] = &c
					}
				}
			}
			err = rapid.SampledFrom(stores).Draw(t, "reader").View(context.Background(), func(tx store.Tx) error {
				n := 0
				for _, key := range keys {
					is, err := tx.Instances(inventory.InstanceQuery{SourceKey: key})
					if err != nil {
						return err
					}
					n += len(is)
					for _, i := range is {
						if m, ok := model[i.ID]; !ok || m.State != i.State || m.SourceKey != key {
							return fmt.Errorf("%s is %s, and should be %q", i.ID, i.State, m.State)
						}
					}
				}
				if n != len(model) {
					return fmt.Errorf("%d instances, and should be %d", n, len(model))
				}
				return recounted(tx)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
