package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestRecordsAreRemembered: what a writer knows of leases and instances without asking is what
// another handle reads, whoever wrote last, and whatever was taken back.
func TestRecordsAreRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	stores := []*sqlite.Store{mustOpen(t, path), mustOpen(t, path)}
	reader := mustOpen(t, path)
	ctx := context.Background()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		at := time.Unix(1700000000, 5)
		key := int64(0)
		var names []compute.ID
		err := stores[0].Update(ctx, func(tx store.Tx) error {
			names = nil
			rec := &store.SourceRecord{Name: fmt.Sprint("s", run)}
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			key = rec.Key
			for n := range 3 {
				i := &compute.Instance{
					ID: compute.ID(fmt.Sprintf("i%d-%d", run, n)), Source: rec.Name, SourceKey: key,
					State: compute.Ready, Created: at, Facts: map[string]string{"os": "x"},
				}
				if err := tx.SaveInstance(i); err != nil {
					return err
				}
				names = append(names, i.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		made := 0
		var ids []string
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			st := stores[rapid.IntRange(0, 1).Draw(t, "handle")]
			name := rapid.SampledFrom(names).Draw(t, "instance")
			op := rapid.SampledFrom([]string{"take", "use", "end", "look", "define"}).Draw(t, "op")
			fails := rapid.IntRange(0, 3).Draw(t, "fails") == 0
			made++
			id := fmt.Sprintf("l%d-%d", run, made)
			err := st.Update(ctx, func(tx store.Tx) error {
				i, err := tx.Instance(name)
				if err != nil {
					return err
				}
				l, err := tx.LeaseOf(name)
				if errors.Is(err, compute.ErrNotFound) {
					l, err = nil, nil
				} else if err != nil {
					return err
				}
				if (l != nil) != (i.State == compute.Leased) {
					return fmt.Errorf("%s is %s, and its lease %+v", name, i.State, l)
				}
				if op == "define" { // its source, otherwise
					if err := tx.SaveSource(&store.SourceRecord{Name: i.Source, Digest: id}); err != nil {
						return err
					}
				}
				i.Since, i.Facts["seen"], i.Reason = at.Add(time.Duration(made)), id, op
				switch {
				case op == "take" && l == nil:
					i.State = compute.Leased
					i.Generation++
					err = tx.InsertLease(&compute.Lease{ID: id, Instance: name, Owner: "ann", Project: "p", Purpose: op,
						Labels: map[string]string{"a": id}, Generation: i.Generation,
						Given: at, Used: at, TTL: time.Hour, Expires: at.Add(time.Hour), Worker: 7, For: compute.Process{PID: 9, Start: 8}})
				case op == "use" && l != nil:
					if l, err = tx.Lease(l.ID); err == nil {
						l.Used, l.Worker, l.Labels["a"] = at.Add(time.Duration(made)), 0, "b"
						err = tx.SaveLease(l)
					}
				case op == "end" && l != nil:
					i.State = compute.Ready
					l.Ended, l.Why, l.Worker = at.Add(time.Duration(made)), "released", 0
					err = tx.SaveLease(l)
				}
				if err == nil {
					err = tx.SaveInstance(i)
				}
				i.Facts["seen"] = "spoilt" // the caller's own
				if fails {
					err = errors.Join(err, errFailed)
				}
				return err
			})
			if fails != errors.Is(err, errFailed) || !fails && err != nil {
				t.Fatal(err)
			}
			if op == "take" && !fails {
				ids = append(ids, id)
			}
			read := func(from func(context.Context, func(store.Tx) error) error) (out []any) {
				err := from(ctx, func(tx store.Tx) error {
					out = nil
					for _, name := range names {
						i, err := tx.Instance(name)
						if err != nil {
							return err
						}
						out = append(out, *i)
					}
					for _, id := range ids {
						l, err := tx.Lease(id)
						if err != nil && !errors.Is(err, compute.ErrNotFound) {
							return err
						}
						out = append(out, l)
					}
					r, err := tx.SourceByKey(key)
					if err != nil {
						return err
					}
					rs, err := tx.Sources(r.Name)
					out = append(out, r, rs)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			want := read(reader.View)
			for n, st := range stores {
				if diff := cmp.Diff(want, read(st.Update)); diff != "" {
					t.Fatalf("handle %d remembers something else:\n%s", n, diff)
				}
			}
		}
	})
}
