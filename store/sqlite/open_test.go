package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
	"github.com/hostler-project/hostler/store/sqlite/migration"
	"github.com/hostler-project/hostler/store/storetest"
)

// TestFirstTogether: of many who find no state file one makes it, and all have the same.
func TestFirstTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "state.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	// of one that was killed while it made the file
	for _, name := range []string{".new", ".new-wal", ".new-shm", ".new-journal"} {
		put(t, path+name, []byte("half"))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			write(t, st, 1)
			mu.Lock()
			seen[st.Installation()]++
			mu.Unlock()
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("installations: %v", seen)
	}
	if n := count(t, mustOpen(t, path)); n != 16 {
		t.Errorf("%d events of 16", n)
	}
	integrity(t, path)
	for _, name := range []string{".new", ".new-wal", ".new-shm", ".new-journal"} {
		if _, err := os.Stat(path + name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

// TestLeave: a command that leaves does not work the log in, what it wrote is there all the same,
// and the log stays short.
func TestLeave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	worked := 0
	for n := range 150 {
		st := mustOpen(t, path)
		if got := count(t, st); got != n {
			t.Fatalf("%d events of %d", got, n)
		}
		write(t, st, 1)
		if err := st.Leave(); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(after) != string(before) {
			worked++
			before = after
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 300*4200 {
			t.Fatalf("the log has %d bytes", info.Size())
		}
	}
	if worked < 1 || worked > 15 {
		t.Errorf("the log was worked in by %d of 150", worked)
	}
	// The last to close leaves everything in the file.
	st := mustOpen(t, path)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "copy.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, alone, b)
	if n := count(t, mustOpen(t, alone)); n != 150 {
		t.Errorf("%d events in the file alone", n)
	}
}

// TestManyQueries: queries with limits of every size do not stay prepared for ever, and go on to
// work.
func TestManyQueries(t *testing.T) {
	st := mustOpen(t, filepath.Join(t.TempDir(), "state.db"))
	write(t, st, 3)
	for n := range 1000 {
		if got := limited(t, st, n+1); got != min(n+1, 3) {
			t.Fatalf("%d of the newest %d", got, n+1)
		}
	}
}

func limited(t *testing.T, st *sqlite.Store, n int) (got int) {
	t.Helper()
	err := st.View(t.Context(), func(tx store.Tx) error {
		es, err := tx.Events(inventory.EventQuery{Newest: n})
		got = len(es)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestOlder: a file of the first format is brought to this one with what is in it.
func TestOlder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.InsertLease(&compute.Lease{ID: "whole", Instance: "web-1"}); err != nil {
			return err
		}
		return errors.Join(
			tx.SaveSource(&store.SourceRecord{Name: "web", Digest: "d", Backoff: inventory.Backoff{Failures: 3}}),
			tx.Join(&inventory.Waiter{Source: "web", Count: 2}),
		)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	raw(t, path, false, "ALTER TABLE sources DROP COLUMN no_room", "ALTER TABLE sources DROP COLUMN unreachable",
		"ALTER TABLE sources DROP COLUMN aim_reserve", "ALTER TABLE sources DROP COLUMN aim_spare", "ALTER TABLE sources DROP COLUMN aim_until",
		"DROP TABLE answers", "DROP TABLE tokens", "DROP TABLE audit", "DROP TABLE rooms", "DROP TABLE slap_records", "DROP TABLE slap_turn", "DROP INDEX leases_id", "DROP INDEX leases_live", "CREATE UNIQUE INDEX leases_live ON leases (instance) WHERE ended = 0",
		"DROP INDEX leases_name", "CREATE UNIQUE INDEX leases_name ON leases (name) WHERE ended = 0 AND name <> ''",
		"ALTER TABLE leases DROP COLUMN share", "ALTER TABLE leases DROP COLUMN project", "ALTER TABLE events DROP "+
			"COLUMN project", "ALTER TABLE waiters DROP COLUMN project", "ALTER TABLE waiters DROP COLUMN detail",
		"DELETE FROM goose_db_version WHERE version_id >= 2", "PRAGMA user_version = 1")
	var old []string
	for _, c := range storetest.OldSources {
		old = append(old, fmt.Sprintf("INSERT INTO sources (name, digest, type, place, failures, paused, last_error) "+
			"VALUES ('%s', 'd', '', '', %d, 5, '%s')",
			c.Name, c.Failures, c.LastError))
	}
	for _, c := range storetest.OldInstances {
		old = append(old, fmt.Sprintf("INSERT INTO instances "+
			"(id, source, source_key, state, since, generation, uses, worker, basis, ready_at, child, detail, created) "+
			"VALUES ('%s', 'broken', (SELECT key FROM sources WHERE name = 'broken'), '%s', 1, 1, 0, 0, 0, 0, '', '%s', 1)",
			c.ID, c.State, c.Detail))
	}
	for _, c := range storetest.OldLeases {
		old = append(old, fmt.Sprintf("INSERT INTO leases "+
			"(id, name, instance, owner, generation, given, used, expires, deadline, ended, why, pid, worker, detail) "+
			"VALUES ('%s', '', 'gone', 'ann', 1, 1, 1, 0, 0, 2, '%s', 0, 0, '{\"source\":\"broken\"}')", c.ID, c.Why))
	}
	raw(t, path, false, append(old, "PRAGMA wal_checkpoint(TRUNCATE)")...)
	refused(t, path, compute.ErrConflict, "older hostler wrote it: it has format 1")
	if s, err = sqlite.Open(t.Context(), path, sqlite.Options{Migrate: migration.Up}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	err = s.Update(t.Context(), func(tx store.Tx) error {
		r, err := tx.Source("web", "d")
		if err != nil || r.Failures != 3 || r.Target != (inventory.Target{}) {
			t.Errorf("r = %+v err = %v; want no error and r.Failures == 3 and r.Target == (compute.Target{})", r, err)
			return err
		}
		if l, err := tx.Lease("whole"); err != nil || l.Project != "" || l.Instance != "web-1" {
			t.Errorf("lease %+v %v", l, err)
		}
		if ws, err := tx.Waiters(); err != nil || len(ws) != 1 || ws[0].Count != 2 || ws[0].Project != "" || ws[0].Priority != 0 {
			t.Errorf("queue %v %v", ws, err)
		}
		storetest.Typed(t, tx)
		r.Target.Spare = 2
		return tx.SaveSource(r)
	})
	if err != nil {
		t.Error(err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		if l, err := tx.LeaseOf("web-1"); err != nil || l.ID != "whole" || l.Share != nil {
			t.Errorf(`l = %+v err = %v; want no error and l.ID == "whole" and l.Share == nil`, l, err)
		}
		return tx.InsertLease(&compute.Lease{ID: "part", Instance: "web-1", Share: &compute.Resources{Cores: 1}})
	})
	if !errors.Is(err, compute.ErrConflict) {
		t.Errorf("a part beside an older lease of all: %v", err)
	}
}
