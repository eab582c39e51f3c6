// Package storetest is the suite that every store of the lease engine passes, each against the real
// thing. It tests what store.Tx and pool.Store promise: records come back as they were put;
// transactions are whole, alone and durable. Handles and processes share workers, places and
// numbers, and none of these is ever given twice.
//
// A store's test has a TestMain that calls Child first: the suite starts the test's own binary
// again as a second process, and kills it.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// Handle is an open store, as it is tested.
type Handle interface {
	pool.Store
	Close() error
}

// Options say how to come by stores.
type Options struct {
	// New names a place for a new store, such as a file's path or a database's name.
	New func(t testing.TB) (place string)
	// Open opens a handle on a place. The suite opens several on one.
	Open func(place string) (Handle, error)
	// Patience is how long a killed process may count as living, if the kernel does not tell at
	// once; 0: no time.
	Patience time.Duration
}

// Store runs the suite.
func Store(t *testing.T, opt Options) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *rig)
	}{
		{"Instances", instances}, {"Pick", pick}, {"PickDisjoint", pickDisjoint}, {"Sources", sources},
		{"Leases", leases}, {"LeasesDue", leasesDue}, {"FarLeases", farLeases},
		{"LeaseConflicts", leaseConflicts}, {"Shares", shares}, {"Rooms", rooms}, {"Queue", queue}, {"Held", heldSums},
		{"Events", events}, {"Prune", prune}, {"NotFound", notFound}, {"OddStrings", oddStrings},
		{"UpdateFails", updateFails}, {"UpdateFailsAmongMany", failsAmongMany}, {"UpdatePanics", panics}, {"UpdateContext", contexts},
		{"UpdateNested", nested}, {"SwallowedError", swallowed}, {"View", views}, {"Handles", handles},
		{"Numbers", numbers}, {"Version", versions},
		{"Workers", workers}, {"Slots", slots}, {"Processes", processes}, {"Close", closing}, {"Counts", counts},
		{"Answers", answers}, {"Notes", notes},
		{"Tokens", tokens}, {"Audit", audits}, {"Slap", slapEntries},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newRig(t, opt)) })
	}
}

// rig is a place with one handle open.
type rig struct {
	Handle
	t     *testing.T
	opt   Options
	place string
}

func newRig(t *testing.T, opt Options) *rig {
	r := &rig{t: t, opt: opt, place: opt.New(t)}
	r.Handle = r.open()
	return r
}

// open opens another handle, which is closed at the test's end.
func (r *rig) open() Handle {
	r.t.Helper()
	s, err := r.opt.Open(r.place)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// update runs fn in a transaction of s that must succeed.
func update(t testing.TB, s Handle, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s Handle, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// soon waits, for the store's patience at most, until is returns true, and reports whether it did.
func (r *rig) soon(is func() bool) bool {
	for limit := time.Now().Add(r.opt.Patience); !is(); time.Sleep(time.Millisecond) {
		if !time.Now().Before(limit) {
			return false
		}
	}
	return true
}

// same fails unless two records are equal, but for the clock's and the location's own marks on
// times.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := differ(reflect.ValueOf(got), reflect.ValueOf(want), what); d != "" {
		t.Fatal(d)
	}
}

// differ describes the first difference of two values of one type, with its path; "": they are
// equal. Times are compared as moments.
func differ(a, b reflect.Value, at string) string {
	if a.IsValid() != b.IsValid() || a.IsValid() && a.Type() != b.Type() {
		return fmt.Sprintf("%s: %v is not %v", at, a, b)
	}
	if x, ok := a.Interface().(time.Time); ok {
		if y := b.Interface().(time.Time); !x.Equal(y) || x.IsZero() != y.IsZero() {
			return fmt.Sprintf("%s: %v is not %v", at, x, y)
		}
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return fmt.Sprintf("%s: %v is not %v", at, a, b)
			}
			return ""
		}
		return differ(a.Elem(), b.Elem(), at)
	case reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			if d := differ(a.Field(i), b.Field(i), at+"."+name); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s: %v is not %v", at, a, b)
		}
		for i := range a.Len() {
			if d := differ(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", at, i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Map:
		if a.Len() == 0 && b.Len() == 0 {
			return ""
		}
	}
	if !reflect.DeepEqual(a.Interface(), b.Interface()) {
		return fmt.Sprintf("%s: %#v is not %#v", at, a, b)
	}
	return ""
}

// is fails unless an error is of a kind.
func is(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("%s: %v, which is not %q", what, err, kind)
	}
}

// source puts a record of a source.
func source(t testing.TB, s Handle, name string) *store.SourceRecord {
	t.Helper()
	r := &store.SourceRecord{Name: name, Digest: "d", Type: "fake"}
	update(t, s, func(tx store.Tx) error { r.Key = 0; return tx.SaveSource(r) })
	return r
}

// instance puts a record of an instance.
func instance(t testing.TB, s Handle, src *store.SourceRecord, id compute.ID, state compute.State) *compute.Instance {
	t.Helper()
	i := &compute.Instance{ID: id, Source: src.Name, SourceKey: src.Key, State: state}
	update(t, s, func(tx store.Tx) error { i.Row = 0; return tx.SaveInstance(i) })
	return i
}

// event appends one, as the smallest write there is.
func event(tx store.Tx, kind string) error {
	_, err := tx.Append(&compute.Event{Kind: kind, Time: time.Unix(1e9, 0)})
	return err
}

// kinds lists the kinds of all events.
func kinds(t testing.TB, s Handle) (out []string) {
	t.Helper()
	view(t, s, func(tx store.Tx) error {
		out = nil
		es, err := tx.Events(inventory.EventQuery{})
		for _, e := range es {
			out = append(out, e.Kind)
		}
		return err
	})
	return out
}
