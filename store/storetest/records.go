package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/store"
)

// at is an instant with nanoseconds, in a zone of its own.
func at(n int) time.Time {
	return time.Date(2031, 2, 3, 4, 5, n, 123456789, time.FixedZone("there", 5*3600+1800))
}

// odd are strings that a careless store would change.
var odd = []string{"", " ", "it's", `"quoted" \ back`, "ein Wörtchen, 日本語, 🦄", "line\nbreak\r\n\ttab", "nul\x00inside",
	"%_*?;--", "'; DROP TABLE instances; --",
	strings.Repeat("long ", 20000), "0", "null", "{}", "\u2028\ufeff"}

// fullInstance returns an instance with every field set, so a lost field shows.
func fullInstance(src *store.SourceRecord, id compute.ID) *compute.Instance {
	return &compute.Instance{ID: id, Source: src.Name, ProviderID: "i-1", Address: "10.1.2.3",
		Facts: map[string]string{"os": "x", "": "y"}, SourceKey: src.Key,
		State: compute.Leased, Since: at(1), Created: at(2), ReadyAt: at(3), Generation: 1 << 40, Uses: 5,
		Work: compute.Work{Worker: 1<<52 - 1, Wanted: "lease", Fill: true, Attempts: 7, Failure: "no", Resume: 3,
			Booked: compute.Reservation{
				Project: "p", Owner: "ann", Holds: compute.Capacity{Count: 1, Cores: 0.5, Memory: 1 << 40, Cost: 0.25},
				Asks: `{"gpus":1}`,
			}},
		Child: "web-3", Retry: at(4), Reason: "because", Cause: inventory.CauseRoom, Basis: 99,
		Phases: compute.Phases{Wait: 1, Create: 2, Connect: 1 << 50, SetUp: 4}, Cold: true}
}

// instances puts and gets records with every field set and with none, and changes every field that
// may change.
func instances(t *testing.T, r *rig) {
	src := source(t, r, "web")
	for _, want := range []*compute.Instance{
		fullInstance(src, "web-1"), {ID: "web-2", Source: "web", SourceKey: src.Key, State: compute.Creating},
	} {
		update(t, r, func(tx store.Tx) error { want.Row = 0; return tx.SaveInstance(want) })
		if want.Row == 0 {
			t.Fatal("Row was not set")
		}
		check := func() {
			t.Helper()
			for _, s := range []Handle{r.Handle, r.open()} {
				view(t, s, func(tx store.Tx) error {
					got, err := tx.Instance(want.ID)
					if err == nil {
						same(t, "instance", got, want)
					}
					return err
				})
			}
		}
		check()
		next := fullInstance(src, want.ID)
		next.Row, next.Created = want.Row, want.Created
		next.State, next.Facts, next.Uses, next.Child = compute.Held, nil, 9, want.Child
		*want = *next
		update(t, r, func(tx store.Tx) error { return tx.SaveInstance(want) })
		check()
		*want = compute.Instance{ID: want.ID, Source: want.Source, SourceKey: want.SourceKey, Row: want.Row,
			Created: want.Created, Child: want.Child,
			State: compute.Ready}
		update(t, r, func(tx store.Tx) error { return tx.SaveInstance(want) })
		check()
	}
	// A name that is there is a conflict, and the transaction goes on.
	update(t, r, func(tx store.Tx) error {
		is(
			t, "a name twice",
			tx.SaveInstance(&compute.Instance{ID: "web-1", Source: "web", SourceKey: src.Key, State: compute.Ready}),
			compute.ErrConflict,
		)
		return event(tx, "after the conflict")
	})
	if got := kinds(t, r); !slices.Equal(got, []string{"after the conflict"}) {
		t.Fatalf("the conflict spoiled the transaction: %q", got)
	}
	instance(t, r, src, "web-3", compute.Cleaning)
	child := &compute.Instance{ID: "web-4", Source: "web", SourceKey: src.Key, State: compute.Discarding, Child: "x"}
	update(t, r, func(tx store.Tx) error { child.Row = 0; return tx.SaveInstance(child) })
	other := source(t, r, "other")
	instance(t, r, other, "other-1", compute.Ready)
	update(t, r, func(tx store.Tx) error {
		return errors.Join(tx.InsertLease(&compute.Lease{ID: "l-1", Instance: "web-2", Owner: "ann"}), tx.InsertLease(&compute.Lease{
			ID: "l-2", Instance: "other-1", Owner: "ann",
		}),
			tx.InsertLease(&compute.Lease{ID: "l-3", Instance: "web-1", Owner: "ann", Ending: compute.Ending{Ended: at(0)}}))
	})
	for _, c := range []struct {
		q    inventory.InstanceQuery
		want string
	}{
		{inventory.InstanceQuery{}, "web-1 web-2 web-3 web-4 other-1"},
		{inventory.InstanceQuery{SourceKey: src.Key}, "web-1 web-2 web-3 web-4"},
		{inventory.InstanceQuery{SourceKey: 12345}, ""},
		{inventory.InstanceQuery{States: []compute.State{compute.Ready}}, "web-1 web-2 other-1"},
		{inventory.InstanceQuery{States: []compute.State{compute.Cleaning, compute.Discarding}}, "web-3 web-4"},
		{inventory.InstanceQuery{Busy: true}, "web-3 web-4"},
		{inventory.InstanceQuery{Busy: true, States: []compute.State{compute.Cleaning}}, "web-3"},
		{inventory.InstanceQuery{Child: "x"}, "web-4"},
		{inventory.InstanceQuery{Limit: 2}, "web-1 web-2"},
		{inventory.InstanceQuery{Source: "web"}, "web-1 web-2 web-3 web-4"},
		{inventory.InstanceQuery{Source: "web", States: []compute.State{compute.Ready}, Limit: 1}, "web-1"},
		{inventory.InstanceQuery{Source: "we"}, ""},
		{inventory.InstanceQuery{Owner: "ann"}, "web-2 other-1"},
		{inventory.InstanceQuery{Owner: "ann", Source: "other"}, "other-1"},
		{inventory.InstanceQuery{Owner: "bob"}, ""},
		{inventory.InstanceQuery{After: child.Row - 1, Limit: 1}, "web-4"},
		{inventory.InstanceQuery{After: child.Row}, "other-1"},
	} {
		view(t, r, func(tx store.Tx) error {
			is, err := tx.Instances(c.q)
			if got := names(is); got != c.want {
				t.Errorf("%+v: %q, want %q", c.q, got, c.want)
			}
			return err
		})
	}
	update(t, r, func(tx store.Tx) error { return tx.DropInstance(child) })
	view(t, r, func(tx store.Tx) error {
		_, err := tx.Instance("web-4")
		is(t, "a dropped instance", err, compute.ErrNotFound)
		return nil
	})
	update(t, r, func(tx store.Tx) error {
		is(t, "saving a dropped instance", tx.SaveInstance(child), compute.ErrNotFound)
		return nil
	})
}

func names(is []*compute.Instance) string {
	var out []string
	for _, i := range is {
		out = append(out, string(i.ID))
	}
	return strings.Join(out, " ")
}

// pick asks for ready instances: the oldest first, of the one source alone, no more than asked for,
// and not those that are not ready.
func pick(t *testing.T, r *rig) {
	a, b := source(t, r, "a"), source(t, r, "b")
	for n, s := range []compute.State{compute.Ready, compute.Leased, compute.Ready, compute.Creating, compute.Ready, compute.Held} {
		instance(t, r, a, compute.ID(fmt.Sprintf("a-%d", n)), s)
		instance(t, r, b, compute.ID(fmt.Sprintf("b-%d", n)), compute.Ready)
	}
	for n, want := range []string{"", "a-0", "a-0 a-2", "a-0 a-2 a-4", "a-0 a-2 a-4"} {
		update(t, r, func(tx store.Tx) error {
			got, err := tx.Pick(a.Key, n)
			if names(got) != want {
				t.Errorf("%d: %q, want %q", n, names(got), want)
			}
			return err
		})
	}
	update(t, r, func(tx store.Tx) error {
		got, err := tx.Pick(a.Key, 1)
		if err != nil {
			return err
		}
		got[0].State = compute.Leased
		if err := tx.SaveInstance(got[0]); err != nil {
			return err
		}
		if got, err = tx.Pick(a.Key, 1); names(got) != "a-2" {
			t.Errorf("picked %q again in the same transaction", names(got))
		}
		return err
	})
}

// pickDisjoint has several handles and goroutines take the same instances.
func pickDisjoint(t *testing.T, r *rig) {
	const each, many = 12, 6
	src := source(t, r, "a")
	update(t, r, func(tx store.Tx) error {
		for n := range 3 * many * each {
			if err := tx.SaveInstance(&compute.Instance{
				ID: compute.ID(fmt.Sprintf("a-%d", n)), Source: "a", SourceKey: src.Key, State: compute.Ready,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	var mu sync.Mutex
	taken := map[compute.ID]int{}
	var wg sync.WaitGroup
	for _, s := range []Handle{r.Handle, r.open(), r.open()} {
		for range many {
			wg.Go(func() {
				for range each {
					var id compute.ID
					err := s.Update(t.Context(), func(tx store.Tx) error {
						got, err := tx.Pick(src.Key, 1)
						if err != nil {
							return err
						}
						if len(got) != 1 {
							return fmt.Errorf("nothing to pick")
						}
						got[0].State = compute.Leased
						id = got[0].ID
						return tx.SaveInstance(got[0])
					})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					taken[id]++
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for id, n := range taken {
		if n != 1 {
			t.Errorf("%s was picked %d times", id, n)
		}
	}
	if len(taken) != 3*many*each {
		t.Errorf("%d of %d were picked", len(taken), 3*many*each)
	}
}

// sources puts, gets and changes records of sources, whose counts stay the store's own.
func sources(t *testing.T, r *rig) {
	full := &store.SourceRecord{Name: "web", Digest: "d1", Type: "fake", Definition: []byte("a\x00b\xff"),
		Backoff: inventory.Backoff{Failures: 3, Full: 2, Paused: at(1), LastError: "it's full"}, Unreachable: at(3),
		Counts: inventory.Counts{Ready: 77}, Target: inventory.Target{Reserve: 5, Spare: 1 << 40, Until: at(2)}}
	bare := &store.SourceRecord{Name: "web", Digest: "d2"}
	first := &store.SourceRecord{Name: "a", Digest: ""}
	for _, s := range []*store.SourceRecord{full, bare, first} {
		update(t, r, func(tx store.Tx) error { s.Key = 0; return tx.SaveSource(s) })
		if s.Key == 0 {
			t.Fatal("Key was not set")
		}
	}
	full.Counts = inventory.Counts{}
	check := func() {
		t.Helper()
		view(t, r, func(tx store.Tx) error {
			for _, want := range []*store.SourceRecord{full, bare, first} {
				got, err := tx.Source(want.Name, want.Digest)
				if err != nil {
					return err
				}
				same(t, "source", got, want)
				if got, err = tx.SourceByKey(want.Key); err != nil {
					return err
				}
				same(t, "source by key", got, want)
				got.Failures, got.Counts.Ready = 1000, 1000
				if len(got.Definition) > 0 {
					got.Definition[0] = '!'
				}
				if again, err := tx.SourceByKey(want.Key); err != nil {
					return err
				} else {
					same(t, "a record that its reader changed", again, want)
				}
			}
			got, err := tx.Sources("")
			if err != nil {
				return err
			}
			same(t, "sources", got, []*store.SourceRecord{first, full, bare})
			return nil
		})
	}
	check()
	full.Failures, full.Paused, full.LastError, full.Definition, full.Type = 0, time.Time{}, "", nil, "vm"
	bare.Failures, bare.Paused, bare.LastError, bare.Definition = 9, at(3), "no", []byte{1}
	for _, s := range []*store.SourceRecord{full, bare} {
		c := *s
		c.Counts.Ready = 55
		update(t, r, func(tx store.Tx) error { return tx.SaveSource(&c) })
	}
	check()
}

// oddStrings puts strings that must come back byte for byte.
func oddStrings(t *testing.T, r *rig) {
	src := source(t, r, "s")
	for n, s := range odd {
		id := compute.ID(fmt.Sprint(n, s))
		want := &compute.Instance{ID: id, Source: s, SourceKey: src.Key, State: compute.Held, Reason: s, ProviderID: s,
			Address: s, Work: compute.Work{Wanted: s}, Child: compute.ID(s),
			Facts: map[string]string{"k": strings.ToValidUTF8(s, ""), strings.ToValidUTF8(s, ""): "v"}}
		l := &compute.Lease{
			ID: fmt.Sprint("l", n, s), Name: s, Instance: id, Source: s, Owner: s, Purpose: s, Ending: compute.Ending{Why: s},
			Labels: map[string]string{s: s}, Given: at(1),
		}
		e := &compute.Event{Kind: s, Source: s, Instance: id, Lease: s, Owner: s, Text: s, Time: at(2), Data: map[string]string{s: s}}
		rec := &store.SourceRecord{Name: "n" + s, Digest: s, Type: s, Definition: []byte(s), Backoff: inventory.Backoff{LastError: s}}
		update(t, r, func(tx store.Tx) error {
			want.Row, rec.Key = 0, 0
			if err := tx.SaveInstance(want); err != nil {
				return err
			}
			if err := tx.InsertLease(l); err != nil {
				return err
			}
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			_, err := tx.Append(e)
			return err
		})
		view(t, r, func(tx store.Tx) error {
			i, err := tx.Instance(id)
			if err != nil {
				return err
			}
			same(t, "instance", i, want)
			got, err := tx.Lease(l.ID)
			if err != nil {
				return err
			}
			same(t, "lease", got, l)
			if got, err = tx.LeaseOf(id); err != nil {
				return err
			}
			same(t, "lease of", got, l)
			es, err := tx.Events(inventory.EventQuery{Instance: id})
			if err != nil {
				return err
			}
			same(t, "events", es, []*compute.Event{e})
			sr, err := tx.Source(rec.Name, rec.Digest)
			if err != nil {
				return err
			}
			same(t, "source", sr, rec)
			return nil
		})
	}
}

// notFound asks every method for a missing record.
func notFound(t *testing.T, r *rig) {
	src := source(t, r, "s")
	update(t, r, func(tx store.Tx) error {
		for what, err := range map[string]error{
			"Instance":     second(tx.Instance("no")),
			"Lease":        second(tx.Lease("no")),
			"LeaseOf":      second(tx.LeaseOf("no")),
			"Source":       second(tx.Source("s", "other")),
			"SourceByKey":  second(tx.SourceByKey(src.Key + 1)),
			"SaveInstance": tx.SaveInstance(&compute.Instance{Row: 4711, ID: "no", State: compute.Ready, SourceKey: src.Key}),
			"SaveSource":   tx.SaveSource(&store.SourceRecord{Key: src.Key + 1, Name: "no"}),
			"SaveLease":    tx.SaveLease(&compute.Lease{ID: "no"}),
		} {
			is(t, what, err, compute.ErrNotFound)
		}
		for what, n := range map[string]int{
			"Instances": first(tx.Instances(inventory.InstanceQuery{})), "Leases": first(tx.Leases(inventory.LeaseQuery{})),
			"Waiters": first(tx.Waiters()),
			"Events":  first(tx.Events(inventory.EventQuery{})), "Pick": first(tx.Pick(src.Key, 3)),
		} {
			if n != 0 {
				t.Errorf("%s: %d", what, n)
			}
		}
		return event(tx, "still good")
	})
	if got := kinds(t, r); len(got) != 1 {
		t.Fatalf("what was not found spoiled the transaction: %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

func first[T any](all []T, err error) int {
	if err != nil {
		return -1
	}
	return len(all)
}
