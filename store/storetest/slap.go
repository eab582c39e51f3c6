package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// slapEntries checks the entries of a SlapOS master: they come back as they were put, are found by
// their fields, and followers are told of them. An entry that must be unique is.
func slapEntries(t *testing.T, r *rig) {
	odd := "it's \"ö\"\x1f\x00\xff"
	one := store.SlapEntry{
		Kind: record.KindInstance, Key: "one" + odd, Name: "name" + odd, Place: "place" + odd, Tree: "tree",
		Host: "host" + odd, Computer: "C", Data: []byte(`{"a":"b"}`),
	}
	two := store.SlapEntry{Kind: record.KindInstance, Key: "two", Tree: "tree", Computer: "D", Data: []byte("2")}
	unfollowed := store.SlapEntry{Kind: record.KindStatus, Key: "two", Computer: "C", Data: []byte("s")}
	save := func(s Handle, entries ...store.SlapEntry) (revision int64) {
		t.Helper()
		update(t, s, func(tx store.Tx) (err error) {
			if revision, err = tx.SlapAdvance(); err != nil {
				return err
			}
			for _, e := range entries {
				if e.Kind != record.KindStatus {
					e.Revision = revision
				}
				if err := tx.SaveSlap(e); err != nil {
					return err
				}
			}
			return nil
		})
		return revision
	}
	first := save(r.Handle, one, unfollowed)
	second := save(r.Handle, two)
	one.Revision, two.Revision = first, second
	if second <= first {
		t.Errorf("revisions %d and %d", first, second)
	}
	other := r.open()
	follow := func(after int64, want ...store.SlapEntry) {
		t.Helper()
		view(t, other, func(tx store.Tx) error {
			var got []store.SlapEntry
			err := tx.SlapChanges(after, func(e store.SlapEntry) error { got = append(got, e); return nil })
			if err == nil {
				same(t, fmt.Sprint("after ", after), got, append([]store.SlapEntry(nil), want...))
			}
			return err
		})
	}
	follow(0, one, two)
	follow(first, two)
	follow(second)
	view(t, other, func(tx store.Tx) error {
		s := tx
		got, err := s.SlapEntry(record.KindInstance, one.Key)
		if err != nil {
			return err
		}
		same(t, "an entry", got, one)
		if _, err := s.SlapEntry(record.KindSupply, one.Key); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("of another kind: %v", err)
		}
		for _, c := range []struct {
			q    store.SlapQuery
			want []store.SlapEntry
		}{
			{store.SlapQuery{Kind: record.KindInstance}, []store.SlapEntry{one, two}},
			{store.SlapQuery{Kind: record.KindInstance, Last: true, Limit: 1}, []store.SlapEntry{two}},
			{store.SlapQuery{Kind: record.KindInstance, Last: true, Before: two.Key}, []store.SlapEntry{one}},
			{store.SlapQuery{Kind: record.KindInstance, Before: one.Key}, nil},
			{store.SlapQuery{Kind: record.KindInstance, Name: one.Name}, []store.SlapEntry{one}},
			{store.SlapQuery{Kind: record.KindInstance, Place: one.Place}, []store.SlapEntry{one}},
			{store.SlapQuery{Kind: record.KindInstance, Tree: "tree"}, []store.SlapEntry{one, two}},
			{store.SlapQuery{Kind: record.KindInstance, Host: one.Host, Tree: "tree"}, []store.SlapEntry{one}},
			{store.SlapQuery{Kind: record.KindInstance, Computer: "D"}, []store.SlapEntry{two}},
			{store.SlapQuery{Kind: record.KindStatus, Computer: "C"}, []store.SlapEntry{unfollowed}},
			{store.SlapQuery{Kind: record.KindInstance, Name: "none"}, nil},
		} {
			got, err := s.SlapEntries(c.q)
			if err != nil {
				return err
			}
			same(t, fmt.Sprintf("%+v", c.q), got, c.want)
		}
		return nil
	})
	for what, e := range map[string]store.SlapEntry{
		"a name":  {Kind: record.KindInstance, Key: "three", Name: one.Name, Data: []byte("3")},
		"a place": {Kind: record.KindInstance, Key: "three", Place: one.Place, Data: []byte("3")},
	} {
		err := other.Update(context.Background(), func(tx store.Tx) error { return tx.SaveSlap(e) })
		if err == nil {
			t.Errorf("%s is given twice", what)
		}
	}
	follow(second) // and nothing of that stays
	third := save(other, store.SlapEntry{Kind: record.KindInstance, Key: one.Key})
	follow(second, store.SlapEntry{Kind: record.KindInstance, Key: one.Key, Revision: third})
	follow(0, two)
	again := store.SlapEntry{Kind: record.KindInstance, Key: "four", Name: one.Name, Place: one.Place, Data: []byte("4")}
	again.Revision = save(r.Handle, again)
	follow(third, again)
	update(t, r.Handle, func(tx store.Tx) error {
		return tx.SaveSlap(store.SlapEntry{Kind: record.KindStatus, Key: "two"})
	})
	view(t, other, func(tx store.Tx) error {
		if _, err := tx.SlapEntry(record.KindStatus, "two"); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("what nobody follows is there though it is gone: %v", err)
		}
		n, err := tx.SlapRevision()
		if err == nil && n != again.Revision {
			t.Errorf("revision %d, and the last change had %d", n, again.Revision)
		}
		return err
	})
	failed := errors.New("no")
	err := r.Update(context.Background(), func(tx store.Tx) error {
		_, err := tx.SlapAdvance()
		return errors.Join(
			err,
			tx.SaveSlap(store.SlapEntry{Kind: record.KindInstance, Key: "five", Revision: 99, Data: []byte("5")}),
			failed,
		)
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	follow(again.Revision)
}
