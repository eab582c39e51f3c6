package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// A copy is a state file with all that was there, and nothing is put over another file or left half
// done.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	save := func(key string) {
		t.Helper()
		err := s.Update(t.Context(), func(tx store.Tx) error {
			return tx.SaveSlap(store.SlapEntry{Kind: record.KindOther, Key: key, Data: []byte("{}")})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	save("before")
	to := filepath.Join(dir, "a copy's.db")
	if err := s.Copy(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	save("after")
	if err := s.Copy(t.Context(), to); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("over a file: %v", err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o600", info, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{ended, t.Context()} {
		if err := s.Copy(ctx, filepath.Join(dir, "none", "x.db")); err == nil {
			t.Error("a copy nowhere")
		}
	}
	other, err := sqlite.Open(t.Context(), to, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = other.View(t.Context(), func(tx store.Tx) error {
		all, err := tx.SlapEntries(store.SlapQuery{Kind: record.KindOther})
		if len(all) != 1 || all[0].Key != "before" {
			t.Errorf(`all = %+v; want len(all) == 1 and all[0].Key == "before"`, all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
