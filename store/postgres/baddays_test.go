package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

func appendEvent(tx store.Tx, kind string) error {
	_, err := tx.Append(&compute.Event{Kind: kind, Time: time.Unix(1, 0)})
	return err
}

func write(st *postgres.Store, kind string) error {
	return st.Update(context.Background(), func(tx store.Tx) error { return appendEvent(tx, kind) })
}

func mustWrite(t testing.TB, st *postgres.Store, kind string) {
	t.Helper()
	if err := write(st, kind); err != nil {
		t.Fatal(err)
	}
}

func kinds(t testing.TB, st *postgres.Store) (out []string) {
	t.Helper()
	err := st.View(context.Background(), func(tx store.Tx) error {
		out = nil
		es, err := tx.Events(inventory.EventQuery{})
		for _, e := range es {
			out = append(out, e.Kind)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unavailable fails unless an error says that the server is not there, and what to do.
func unavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, compute.ErrUnavailable) || compute.Hint(err) == "" {
		t.Errorf("%v; hint %q", err, compute.Hint(err))
	}
}

// eventually waits for what takes a moment.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: not in 30 s", what)
		}
	}
}

// load has callers write until stop, and returns what was acknowledged; what failed must have
// failed as unavailable.
func load(t *testing.T, callers int, sts ...*postgres.Store) (stop func() (acknowledged, unknown []string, failed int)) {
	var mu sync.Mutex
	var good, unknown []string
	failed := 0
	var over atomic.Bool
	var wg sync.WaitGroup
	for n := range callers {
		st := sts[n%len(sts)]
		wg.Go(func() {
			for k := 0; !over.Load(); k++ {
				what := fmt.Sprintf("%d/%d", n, k)
				err := write(st, what)
				mu.Lock()
				switch {
				case err == nil:
					good = append(good, what)
				case strings.Contains(err.Error(), "not known"):
					unknown = append(unknown, what)
				default:
					failed++
				}
				mu.Unlock()
				if err != nil {
					unavailable(t, err)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	return func() ([]string, []string, int) {
		over.Store(true)
		wg.Wait()
		return good, unknown, failed
	}
}

// judge compares what is there with what was acknowledged: all of it, once, and nothing else but
// what nobody could know.
func judge(t *testing.T, got, acknowledged, unknown []string) {
	t.Helper()
	seen := map[string]int{}
	for _, k := range got {
		seen[k]++
	}
	for _, k := range acknowledged {
		if seen[k] != 1 {
			t.Errorf("%s was acknowledged, and is there %d times", k, seen[k])
		}
	}
	more := 0
	for k, n := range seen {
		if n > 1 {
			t.Errorf("%s is there %d times", k, n)
		}
		if !slices.Contains(acknowledged, k) {
			more++
		}
	}
	if more > len(unknown) {
		t.Errorf("%d are there that were said to have failed, and only %d are not known", more, len(unknown))
	}
	t.Logf("%d acknowledged, %d not known, of which %d are there", len(acknowledged), len(unknown), more)
}

// TestCut cuts all connections again and again under load: nobody sees an error, nothing is lost or
// written twice, and the workers keep their numbers.
func TestCut(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	var sts []*postgres.Store
	numbers := map[int64]bool{}
	for range 3 {
		st := mustOpen(t, dsn, postgres.Options{Grace: time.Minute})
		sts = append(sts, st)
		numbers[st.Worker()] = true
	}
	stop := load(t, 12, sts...)
	for range 25 {
		time.Sleep(50 * time.Millisecond)
		if err := s.Cut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	good, unknown, failed := stop()
	if failed > 0 || len(good) == 0 {
		t.Errorf("%d failed, %d did not", failed, len(good))
	}
	judge(t, kinds(t, sts[0]), good, unknown)
	for _, st := range sts {
		mustWrite(t, st, "after")
		if !numbers[st.Worker()] {
			t.Errorf("worker %d is a new number", st.Worker())
		}
		for n := range numbers {
			if !st.Alive(n) {
				t.Errorf("worker %d is said to be dead", n)
			}
		}
	}
}

// TestRestart restarts the server under load, in good order and by a crash.
func TestRestart(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	a, b := mustOpen(t, dsn, postgres.Options{Patience: 30 * time.Second}), mustOpen(t, dsn, postgres.Options{Patience: 30 * time.Second})
	before := []int64{a.Worker(), b.Worker()}
	stop := load(t, 8, a, b)
	for _, end := range []func() error{func() error { return s.Restart(t.Context()) }, func() error {
		return errors.Join(s.Kill(), s.Start(t.Context()))
	}} {
		time.Sleep(200 * time.Millisecond) // clients are at work when the database ends
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond) // clients are at work again before they are stopped
	good, unknown, failed := stop()
	if failed > 0 {
		t.Errorf("%d failed though there was time to wait", failed)
	}
	judge(t, kinds(t, a), good, unknown)
	mustWrite(t, a, "after")
	mustWrite(t, b, "after")
	if !slices.Equal(before, []int64{a.Worker(), b.Worker()}) {
		t.Errorf("workers %d and %d were %v", a.Worker(), b.Worker(), before)
	}
}

// TestDown: while the server is not there, everybody is told so in bounded time, and it goes on by
// itself when it is back.
func TestDown(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	st := mustOpen(t, dsn, postgres.Options{Patience: 300 * time.Millisecond})
	mustWrite(t, st, "before")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() { unavailable(t, write(st, fmt.Sprint("lost ", n))) })
		wg.Go(func() {
			unavailable(t, st.View(t.Context(), func(tx store.Tx) error { _, err := tx.Sources(""); return err }))
		})
	}
	wg.Wait()
	_, err := st.Version(t.Context())
	unavailable(t, err)
	if _, _, err := st.Slot(1, 1); err == nil {
		t.Error("a place without a server")
	} else {
		unavailable(t, err)
	}
	if !st.Alive(st.Worker() + 1) {
		t.Error("a worker is said to be dead by nobody")
	}
	_, err = postgres.Open(t.Context(), dsn, postgres.Options{})
	unavailable(t, err)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// its patience is short for a busy machine
	eventually(t, "a write when it is back", func() bool { return write(st, "after") == nil })
	if got := slices.Compact(kinds(t, mustOpen(t, dsn, postgres.Options{}))); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("events: %s", got)
	}
	eventually(t, "its version", func() bool { _, err := st.Version(t.Context()); return err == nil })
}

// TestPaused stops the server in the midst, as a machine that hangs: the wait is bounded, and what
// was committed when it goes on is told as it is.
func TestPaused(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	st := mustOpen(t, dsn, postgres.Options{Busy: 500 * time.Millisecond, Patience: 100 * time.Millisecond})
	stop := load(t, 8, st)
	time.Sleep(100 * time.Millisecond)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := st.View(short, func(tx store.Tx) error { _, err := tx.Sources(""); return err })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a view with a short patience: %v", err)
	}
	unavailable(t, write(st, "paused"))
	if d := time.Since(start); d > time.Minute {
		t.Errorf("it took %v", d)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a write after the pause", func() bool { return write(st, "after") == nil })
	good, unknown, _ := stop()
	got := slices.DeleteFunc(kinds(t, st), func(k string) bool { return k == "after" || k == "paused" })
	judge(t, got, good, unknown)
}

// TestSleeper: who sleeps in the midst of a transaction is cut off, changes nothing, lets others go
// on, and goes on himself when he wakes.
func TestSleeper(t *testing.T) {
	dsn := place(t)
	st := mustOpen(t, dsn, postgres.Options{Busy: 300 * time.Millisecond, Grace: -1})
	other := mustOpen(t, dsn, postgres.Options{Grace: -1})
	runs := 0
	var taken int64
	err := st.Update(t.Context(), func(tx store.Tx) error {
		runs++
		n, err := tx.NextNumber("n") // it has the turn
		if err != nil {
			return err
		}
		if runs == 1 {
			if n != 1 {
				t.Errorf("number %d", n)
			}
			if err := appendEvent(tx, "slept"); err != nil {
				return err
			}
			eventually(t, "the sleeper's worker to be thought dead", func() bool { return !other.Alive(st.Worker()) })
			err := other.Update(t.Context(), func(tx store.Tx) error {
				taken, err = tx.NextNumber("n")
				return errors.Join(err, appendEvent(tx, "other"))
			})
			if err != nil {
				t.Error(err)
			}
			return nil
		}
		if n != 2 {
			t.Errorf("number %d after the other's 1", n)
		}
		return appendEvent(tx, "awake")
	})
	if err != nil || runs != 2 || taken != 1 {
		t.Errorf("%v; it ran %d times, the other took %d", err, runs, taken)
	}
	if got := fmt.Sprint(kinds(t, st)); got != "[other awake]" {
		t.Errorf("events: %s", got)
	}
	if !other.Alive(st.Worker()) {
		t.Error("awake, it is said to be dead")
	}
}

// TestNoticed: a connection that is cut while nobody uses it is found out, and the number taken
// again.
func TestNoticed(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	a, b := mustOpen(t, dsn, postgres.Options{Grace: -1}), mustOpen(t, dsn, postgres.Options{Grace: -1})
	free, ok, err := a.Slot(1, 1)
	if !ok || err != nil {
		t.Fatalf("ok = %v, err = %v; want ok and no error", ok, err)
	}
	worker := a.Worker()
	if err := s.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker to be back", func() bool { return b.Alive(worker) && a.Worker() == worker })
	// Not asked for with Slot: b would have it in the moment in which a takes it again.
	eventually(t, "the place to be kept", func() bool { return placesTaken(t, dsn) == 1 })
	if _, ok, err := b.Slot(1, 1); ok || err != nil {
		t.Errorf("a place that is taken: %v, %v", ok, err)
	}
	free()
	if _, ok, err := b.Slot(1, 1); !ok || err != nil {
		t.Errorf("a place that came free: %v, %v", ok, err)
	}
}

// placesTaken counts the places that are taken in a database, by what the server says.
func placesTaken(t *testing.T, dsn string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	err = c.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNewNumber: a handle whose number cannot be had again goes on under another.
func TestNewNumber(t *testing.T) {
	dsn := place(t)
	st := mustOpen(t, dsn, postgres.Options{})
	mustWrite(t, st, "before")
	old := st.Worker()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	var class, pid int64
	err = c.QueryRow(t.Context(), `SELECT classid::integer, pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&class, &pid)
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan error)
	go func() { // waits for the lock, and so is the next to have it
		_, err := c.Exec(context.Background(), "SELECT pg_advisory_lock_shared($1::integer, $2::integer)", class, old)
		held <- err
	}()
	sql(t, dsn, "SELECT count(*) FROM pg_locks, pg_sleep(0.2)")
	sql(t, dsn, fmt.Sprint("SELECT pg_terminate_backend(", pid, ")"))
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	mustWrite(t, st, "after")
	if st.Worker() == old || !st.Alive(st.Worker()) {
		t.Errorf("worker %d was %d", st.Worker(), old)
	}
	if got := fmt.Sprint(kinds(t, st)); got != "[before after]" {
		t.Errorf("events: %s", got)
	}
}

// TestGrace: a worker whose lock is free is thought dead only after a while.
func TestGrace(t *testing.T) {
	dsn := place(t)
	a, b := mustOpen(t, dsn, postgres.Options{Grace: 200 * time.Millisecond}), mustOpen(t, dsn, postgres.Options{})
	w := b.Worker()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if !a.Alive(w) {
		t.Error("it is said to be dead at the first look")
	}
	eventually(t, "the end of the grace", func() bool { return !a.Alive(w) })
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("after %v", d)
	}
}

// TestFull: on a full disk changes fail, whole, and go on where there is room again.
func TestFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount: needs root")
	}
	s := pgtest.Start(t)
	dir, err := os.MkdirTemp("", "pgtest-full-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=3m,mode=777", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	defer exec.Command("umount", "-l", dir).Run()
	dsn := s.Database(t)
	st := mustOpen(t, dsn, postgres.Options{})
	mustWrite(t, st, "before")
	db := strings.TrimPrefix(must(url.Parse(dsn)).Path, "/")
	if out, err := exec.Command("chown", fmt.Sprintf("--reference=%s", s.Dir()), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	if err := s.Exec(t.Context(), "CREATE TABLESPACE small LOCATION '"+dir+"'"); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("db = %v, err = %v; want no error", db, err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "ALTER TABLE events SET TABLESPACE small"); err != nil {
		t.Fatal(err)
	}
	done := 1
	random := func(n int) string { // what cannot be pressed together
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprint(&b, rand())
		}
		return b.String()
	}
	for range 500 {
		err = st.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Append(&compute.Event{Kind: "k", Time: time.Unix(1, 0), Text: random(20_000)})
			return errors.Join(err, tx.SaveSource(&store.SourceRecord{Name: fmt.Sprint("s", done)}))
		})
		if err != nil {
			break
		}
		done++
	}
	unavailable(t, err)
	if !strings.Contains(compute.Hint(err), "free some space") {
		t.Errorf("hint %q", compute.Hint(err))
	}
	sources := 0
	err = st.View(t.Context(), func(tx store.Tx) error {
		rs, err := tx.Sources("")
		sources = len(rs)
		return err
	})
	if n := len(kinds(t, st)); err != nil || n != done || sources != done-1 {
		t.Errorf("%v: %d events and %d sources of %d", err, n, sources, done)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=30m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	mustWrite(t, st, "after")
	if _, err := c.Exec(t.Context(), "ALTER TABLE events SET TABLESPACE pg_default"); err != nil {
		t.Error(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestLocked: a transaction that another program keeps waiting fails in bounded time, changes
// nothing, and goes on later.
func TestLocked(t *testing.T) {
	dsn := place(t)
	st := mustOpen(t, dsn, postgres.Options{Busy: 200 * time.Millisecond})
	mustWrite(t, st, "before")
	worker := st.Worker()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	unavailable(t, write(st, "locked"))
	unavailable(t, st.View(t.Context(), func(tx store.Tx) error { _, err := tx.Events(inventory.EventQuery{}); return err }))
	if _, err := c.Exec(t.Context(), "ROLLBACK; BEGIN; SELECT FROM turn FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	unavailable(t, write(st, "locked"))
	unavailable(t, st.Update(t.Context(), func(tx store.Tx) error { _, err := tx.NextNumber("n"); return err }))
	if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, st, "after")
	if got := fmt.Sprint(kinds(t, st)); got != "[before after]" {
		t.Errorf("events: %s", got)
	}
	if st.Worker() != worker {
		t.Error("the number changed")
	}
}

// TestOddTimeouts: limits that an administrator has set, shorter than ours, hold, and are told.
func TestOddTimeouts(t *testing.T) {
	dsn := place(t)
	st := mustOpen(
		t,
		dsn+"&options="+strings.ReplaceAll(url.QueryEscape("-c statement_timeout=150 -c synchronous_commit=off"), "+", "%20"),
		postgres.Options{},
	)
	mustWrite(t, st, "before")
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "BEGIN; SELECT FROM turn FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	unavailable(t, write(st, "late"))
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}
