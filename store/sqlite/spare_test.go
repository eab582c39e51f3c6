package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestSpare: on a full disk there is room for the little that has to be written for giving back,
// also for the first who comes, and for many at once.
func TestSpare(t *testing.T) {
	for _, first := range []bool{false, true} {
		dir, _ := mount(t, "size=3m,mode=700")
		path := filepath.Join(dir, "state.db")
		st := mustOpen(t, path)
		write(t, st, 5)
		if fi, err := os.Stat(path + "-spare"); err != nil || fi.Size() < 100<<10 || fi.Mode() != 0o600 {
			t.Fatalf("the spare: %v %v", fi, err)
		}
		if first {
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		ballast := filepath.Join(dir, "ballast")
		fill(t, ballast)
		if first {
			st = mustOpen(t, path)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 3 {
					if err := st.Update(t.Context(), func(tx store.Tx) error { return appendEvent(tx, 1000) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := count(t, st); n != 5+24 {
			t.Errorf("%d events, want %d", n, 5+24)
		}
		if _, err := os.Stat(path + "-spare"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the spare is there, though the disk is full: %v", err)
		}
		// It is not made where it would take the last room, and made where there is much.
		if other, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err != nil {
			t.Error(err)
		} else {
			other.Close()
		}
		if _, err := os.Stat(path + "-spare"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the spare took the last room: %v", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, path)
		if _, err := os.Stat(path + "-spare"); err != nil {
			t.Errorf("the spare did not come back: %v", err)
		}
		integrity(t, path)
	}
}

// TestSpareLasts: while the disk is full the room that there is goes to what is kept, and not to
// the log, which takes pages for what are bytes.
func TestSpareLasts(t *testing.T) {
	dir, _ := mount(t, "size=3m,mode=700")
	path := filepath.Join(dir, "state.db")
	st := mustOpen(t, path)
	write(t, st, 5)
	fill(t, filepath.Join(dir, "ballast"))
	const kept = 200 // some 250 KiB, and in the log three MiB
	for n := range kept {
		if err := st.Update(t.Context(), func(tx store.Tx) error { return appendEvent(tx, 1000) }); err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
	}
	if n := count(t, st); n != 5+kept {
		t.Errorf("%d events, want %d", n, 5+kept)
	}
	integrity(t, path)
}

// TestSpareIsForGivingBack: what wants more on a full disk is refused, however often, and leaves
// the spare to what is given back; so also once that has come. When there is room it is served
// again.
func TestSpareIsForGivingBack(t *testing.T) {
	dir, _ := mount(t, "size=3m,mode=700")
	path := filepath.Join(dir, "state.db")
	st := mustOpen(t, path)
	write(t, st, 5)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	more := func() {
		t.Helper()
		for range 100 {
			err := st.Update(store.Growing(t.Context()), func(tx store.Tx) error { return appendEvent(tx, 5000) })
			if err == nil {
				t.Fatal("there was room for more")
			} else if e := (*compute.Error)(nil); !errors.As(err, &e) || e.Op != "state" {
				t.Fatalf("the refusal: %v", err)
			}
		}
	}
	more()
	if _, err := os.Stat(path + "-spare"); err != nil {
		t.Errorf("the spare was given to what wants more: %v", err)
	}
	for range 5 {
		if err := st.Update(t.Context(), func(tx store.Tx) error { return appendEvent(tx, 1000) }); err != nil {
			t.Error(err)
		}
		more()
	}
	if n := count(t, st); n != 5+5 {
		t.Errorf("%d events, want %d", n, 5+5)
	}
	if err := errors.Join(st.Close(), os.Remove(ballast)); err != nil {
		t.Fatal(err)
	}
	st = mustOpen(t, path)
	if err := st.Update(store.Growing(t.Context()), func(tx store.Tx) error { return appendEvent(tx, 1000) }); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	integrity(t, path)
}
