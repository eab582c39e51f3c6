package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// tokens: a token comes back as it was put, by its hash alone, for every handle, and not once it is
// dropped.
func tokens(t *testing.T, r *rig) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	one := &store.Token{ID: "one", Hash: store.TokenHash{1}, Data: []byte(`{"name":"it's for \"CI\""}`)}
	two := &store.Token{ID: "two", Hash: store.TokenHash{2}, Data: []byte(`{"lease":"l-1"}`)}
	write(t, r.Handle, func(tx store.TokenTx) error { return errors.Join(tx.SaveToken(two), tx.SaveToken(one)) })
	other := r.open()
	read(t, other, func(tx store.TokenTx) {
		all, err := tx.Tokens()
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		same(t, "the first", all[0], one)
		same(t, "the second", all[1], two)
		got, err := tx.Token(two.Hash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "by its hash", got, two)
		if got, err := tx.Token(store.TokenHash{3}); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("another hash: %v, %v", got, err)
		}
	})
	one.Used, one.From, one.Data = now, "192.0.2.1\x00", []byte(`{"name":"other"}`)
	write(t, other, func(tx store.TokenTx) error { return tx.SaveToken(one) })
	read(t, r.Handle, func(tx store.TokenTx) {
		got, err := tx.Token(one.Hash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "changed", got, one)
	})
	write(t, r.Handle, func(tx store.TokenTx) error { return tx.DropToken("two") })
	read(t, other, func(tx store.TokenTx) {
		if got, err := tx.Token(two.Hash); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("dropped, and there: %v, %v", got, err)
		}
		if all, err := tx.Tokens(); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	})
	err := r.Update(context.Background(), func(tx store.Tx) error { return tx.DropToken("two") })
	if !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("dropped again: %v", err)
	}
	failed := errors.New("no")
	err = r.Update(context.Background(), func(tx store.Tx) error {
		return errors.Join(tx.SaveToken(two), tx.DropToken("one"), failed)
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	read(t, r.Handle, func(tx store.TokenTx) {
		if all, err := tx.Tokens(); err != nil || len(all) != 1 || all[0].ID != "one" {
			t.Errorf("what failed has changed something: %v, %v", all, err)
		}
	})
}

// audits: entries come back in their order, the newest first, a part at a time, until they are old.
func audits(t *testing.T, r *rig) {
	now := time.Now().Truncate(time.Microsecond)
	texts := []string{"a", "b\x00\xff", "c", "d"}
	var numbers []int64
	for i, text := range texts {
		err := r.Update(context.Background(), func(tx store.Tx) error {
			n, err := tx.SaveAudit(now.Add(time.Duration(i)*time.Minute), []byte(text))
			numbers = append(numbers, n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && numbers[i] <= numbers[i-1] {
			t.Errorf("numbers do not grow: %d", numbers)
		}
	}
	other := r.open()
	look := func(before int64, since time.Time, limit int) (got string) {
		t.Helper()
		err := other.View(context.Background(), func(tx store.Tx) error {
			all, err := tx.Audit(before, since, limit)
			for _, p := range all {
				got += string(p.Data)
				if i := int(p.Time.Sub(now) / time.Minute); i < 0 || i > 3 || p.Number != numbers[i] {
					t.Errorf("%q has number %d and time %v", p.Data, p.Number, p.Time)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, test := range []struct {
		before int64
		since  time.Time
		limit  int
		want   string
	}{
		{0, time.Time{}, 10, "dcb\x00\xffa"}, {0, time.Time{}, 2, "dc"}, {numbers[2], time.Time{}, 1, "b\x00\xff"},
		{0, now.Add(2 * time.Minute), 10, "dc"}, {numbers[0], time.Time{}, 10, ""},
	} {
		if got := look(test.before, test.since, test.limit); got != test.want {
			t.Errorf("before %d, since %v, %d: %q", test.before, test.since, test.limit, got)
		}
	}
	update(t, r.Handle, func(tx store.Tx) error { return tx.DropAudit(now.Add(2 * time.Minute)) })
	if got := look(0, time.Time{}, 10); got != "dc" {
		t.Errorf("after the old ones were dropped: %q", got)
	}
}

func write(t *testing.T, s Handle, fn func(store.TokenTx) error) {
	t.Helper()
	update(t, s, func(tx store.Tx) error { return fn(tx) })
}

func read(t *testing.T, s Handle, fn func(store.TokenTx)) {
	t.Helper()
	view(t, s, func(tx store.Tx) error {
		fn(tx)
		return nil
	})
}
