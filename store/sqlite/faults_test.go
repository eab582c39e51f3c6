package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
	"github.com/hostler-project/hostler/store/sqlite/faultvfs"
)

// engine is a real lease engine on a store, over fake computers that outlive it.
func engine(t *testing.T, st *sqlite.Store, cloud *fake.Cloud) *pool.Pool {
	t.Helper()
	p, err := pool.New(pool.Options{Store: st, NewID: uuid.NewString,
		Sources: []pool.Source{{Name: "a", Type: "fake", Digest: "d", Reserve: 1, Maximum: 4}},
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: name, Installation: st.Installation(), Cloud: cloud})
		}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// told is what the engine's users were told.
type told struct {
	given    map[string]compute.ID // by lease
	returned map[string]bool       // leases that were given back, as they were told
	asked    map[string]bool       // leases that they tried to give back
	errs     []error
}

func newTold() *told {
	return &told{given: map[string]compute.ID{}, returned: map[string]bool{}, asked: map[string]bool{}}
}

// play is the scenario: each of its steps may fail and the next is done all the same.
func (w *told) play(ctx context.Context, p *pool.Pool) {
	who := compute.Who{Owner: "ann"}
	acquire := func(n int) []compute.Lease {
		ls, err := p.Acquire(ctx, compute.Request{Source: "a", Count: n, Owner: "ann", TTL: time.Hour})
		for _, l := range ls {
			w.given[l.ID] = l.Instance
		}
		w.errs = append(w.errs, err)
		return ls
	}
	release := func(opt compute.ReleaseOptions, ls ...compute.Lease) {
		var ids []compute.ID
		for _, l := range ls {
			ids = append(ids, l.Instance)
			w.asked[l.ID] = true
		}
		err := p.Release(ctx, who, opt, ids...)
		w.errs = append(w.errs, err)
		if err == nil {
			for _, l := range ls {
				w.returned[l.ID] = true
			}
		}
	}
	_, err := p.Fill(ctx, "a")
	w.errs = append(w.errs, err)
	first := acquire(1)
	two := acquire(2)
	if len(first) > 0 {
		release(compute.ReleaseOptions{}, first...)
	}
	again := acquire(1)
	if len(two) > 0 {
		release(compute.ReleaseOptions{Force: true}, two[0])
	}
	if len(again) > 0 {
		_, err = p.Extend(ctx, who, time.Hour, again[0].Instance)
		w.errs = append(w.errs, err)
	}
	_, err = p.Fill(ctx, "a")
	w.errs = append(w.errs, err)
	if len(again) > 0 {
		release(compute.ReleaseOptions{}, again...)
	}
}

// holds checks all that must hold of a state file and its computers once the engine has done what
// was due.
func (w *told) holds(t *testing.T, path string, cloud *fake.Cloud) {
	t.Helper()
	integrity(t, path)
	// this machine keeps its power
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	p := engine(t, st, cloud)
	for range 20 {
		next, err := p.RunDue(t.Context())
		if err != nil {
			t.Fatalf("work: %v", err)
		}
		if next.IsZero() || time.Until(next) > time.Minute {
			break
		}
		time.Sleep(min(time.Until(next), 100*time.Millisecond))
	}
	err = st.View(t.Context(), func(tx store.Tx) error {
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		is, err := tx.Instances(inventory.InstanceQuery{})
		if err != nil {
			return err
		}
		var n inventory.Counts
		known := map[string]bool{}
		for _, i := range is {
			known[string(i.ID)] = true
			switch i.State {
			case compute.Ready:
				n.Ready++
			case compute.Leased:
				n.Leased++
			default:
				t.Errorf("after Work %s is %s: %s", i.ID, i.State, i.Reason)
			}
			if !slices.Contains(cloud.IDs(), string(i.ID)) {
				t.Errorf("%s is %s, and there is no such computer", i.ID, i.State)
			}
		}
		for _, r := range recs {
			if r.Counts != n {
				t.Errorf("the counts are %+v, and there are %+v", r.Counts, n)
			}
		}
		for _, id := range cloud.IDs() {
			if !known[id] {
				t.Errorf("the computer %s has no record", id)
			}
		}
		living, err := tx.Leases(inventory.LeaseQuery{})
		if err != nil {
			return err
		}
		holder := map[compute.ID]string{}
		for _, l := range living {
			if holder[l.Instance] != "" {
				t.Errorf("%s has two leases", l.Instance)
			}
			holder[l.Instance] = l.ID
			if w.given[l.ID] == "" && l.Worker != 0 && st.Alive(l.Worker) {
				t.Errorf("a lease of %s that nobody was told of is held by a worker that lives", l.Instance)
			}
		}
		for id, inst := range w.given {
			l, err := tx.Lease(id)
			switch {
			case err != nil:
				t.Errorf("the lease of %s that was given is not there: %v", inst, err)
			case !l.Ended.IsZero() && !w.asked[id]:
				t.Errorf("the lease of %s was not given back, and has ended: %s", inst, l.Why)
			case l.Ended.IsZero() && w.returned[id]:
				t.Errorf("the lease of %s was given back, and lives", inst)
			case l.Ended.IsZero() && holder[inst] != id:
				t.Errorf("the lease of %s lives, and is not its own", inst)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// integrity has SQLite check the file, beside us.
func integrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var said string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
		t.Fatalf("the file is damaged: %s %v", said, err)
	}
}

// TestFailingDisk has the n-th write, sync or truncation fail, for every n: once, or for good with
// the power.
func TestFailingDisk(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "state.db")
	st, err := sqlite.Open(t.Context(), empty, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.ReadFile(empty)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code int32
		seed uint64
	}{
		{"error", sqlite3.SQLITE_IOERR_WRITE, 0}, {"full", sqlite3.SQLITE_FULL, 0}, {"power loss", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			told, n := 0, 1
			for ; ; n += stride() {
				w, happened := faulty(t, fresh, faultvfs.Plan{At: n, Code: c.code, Seed: c.seed + uint64(n)})
				if t.Failed() {
					t.Fatalf("at operation %d", n)
				}
				if !happened {
					break
				}
				if errors.Join(w.errs...) != nil {
					told++
				}
			}
			if c.name == "full" { // the spare is for these
				if n < 50 || told > 0 {
					t.Errorf("of %d times that the disk was full for a moment, the engine's users were told of %d", n, told)
				}
			} else if n < 50 || told < n/stride()/2 {
				t.Errorf("of %d faults the engine's users were told of %d", n, told)
			}
			t.Logf("faults at %d operations, of which %d were told", n/stride(), told)
		})
	}
}

// stride is 1: every operation is to fail; with -short some, and under the race detector, which
// looks for other faults: `make test` runs both.
func stride() int {
	if testing.Short() || raced {
		return 7
	}
	return 1
}

// faulty plays the scenario on a disk with a fault, and looks at what is left.
func faulty(t *testing.T, fresh []byte, plan faultvfs.Plan) (*told, bool) {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	if err := os.WriteFile(path, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	disk, err := faultvfs.New(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	cloud := fake.NewCloud()
	w := newTold()
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{VFS: disk.Name, Log: 16, Busy: time.Second})
	if err != nil {
		w.errs = append(w.errs, err)
	} else {
		p := engine(t, st, cloud)
		w.play(t.Context(), p)
		if plan.Code != 0 { // the disk works again, and so must the engine
			before := disk.Happened()
			if _, err := p.RunDue(t.Context()); err != nil && before {
				t.Errorf("work after the fault: %v", err)
			}
			before = disk.Happened()
			if ls, err := p.Acquire(t.Context(), compute.Request{Source: "a", Count: 1, Owner: "bob"}); err != nil && before {
				t.Errorf("acquire after the fault: %v", err)
			} else if err == nil {
				w.given[ls[0].ID] = ls[0].Instance
			}
		}
		st.Close() // its errors are those of a process that dies
	}
	w.holds(t, path, cloud)
	return w, disk.Happened()
}

// TestFailingDiskAtFirst has the disk fail while the file is made: the next to come finds nothing,
// or all of it.
func TestFailingDiskAtFirst(t *testing.T) {
	for name, code := range map[string]int32{"full": sqlite3.SQLITE_FULL, "power loss": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n += stride() {
				path := filepath.Join(t.TempDir(), fmt.Sprint(n), "state.db")
				disk, err := faultvfs.New(faultvfs.Plan{At: n, Code: code, Seed: uint64(n)})
				if err != nil {
					t.Fatal(err)
				}
				st, err := sqlite.Open(t.Context(), path, sqlite.Options{VFS: disk.Name})
				if err == nil {
					err = st.Close()
				}
				happened := disk.Happened()
				disk.Close()
				again, e := sqlite.Open(t.Context(), path, sqlite.Options{Unsafe: true})
				if e != nil {
					t.Fatalf("operation %d: %v, and then %v", n, err, e)
				}
				if again.Installation() == "" {
					t.Fatalf("operation %d: no installation", n)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
				integrity(t, path)
				if !happened {
					return
				}
				if err != nil && compute.Hint(err) == "" {
					t.Fatalf("operation %d: no hint: %v", n, err)
				}
			}
		})
	}
}
