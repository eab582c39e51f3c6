package runlog_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/run/runlog"
)

// TestKey has many bind one key at once: one does, and the others see which run it is.
func TestKey(t *testing.T) {
	l := &runlog.Log{Dir: filepath.Join(t.TempDir(), "runs")}
	var bound atomic.Int32
	var ids sync.Map
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			k, err := l.Key(t.Context(), "k")
			if err != nil {
				t.Error(err)
				return
			}
			defer k.Close()
			if k.Free() {
				bound.Add(1)
				run, err := l.Begin(runlog.Record{})
				if err == nil {
					err = k.Bind("request", run.ID())
				}
				if err != nil {
					t.Error(err)
				}
			}
			ids.Store(k.Run, k.Request)
		})
	}
	all.Wait()
	n := 0
	ids.Range(func(_, request any) bool { n++; return request == "request" })
	if bound.Load() != 1 || n != 1 {
		t.Errorf("bound %d times, to %d runs", bound.Load(), n)
	}
}

// TestKeyForgotten keeps a key for a day after its run's end, and of a run whose record is gone for
// a day after it was bound; what was half written stands for nothing.
func TestKeyForgotten(t *testing.T) {
	l := &runlog.Log{Dir: filepath.Join(t.TempDir(), "runs")}
	take := func(key string) *runlog.Key {
		t.Helper()
		k, err := l.Key(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	bind := func(key string) *runlog.Run {
		t.Helper()
		run, err := l.Begin(runlog.Record{})
		if err != nil {
			t.Fatal(err)
		}
		k := take(key)
		if err := k.Bind("r", run.ID()); err != nil {
			t.Fatal(err)
		}
		_ = k.Close()
		return run
	}
	is := func(key string, free bool) {
		t.Helper()
		k := take(key)
		defer k.Close()
		if k.Free() != free {
			t.Errorf("%s: free %v", key, k.Free())
		}
	}
	bind("running")
	bind("ended").End(func(*runlog.Record) {})
	old := time.Now().Add(-25 * time.Hour)
	bind("old").End(func(rec *runlog.Record) { rec.Ended = &old })
	gone := bind("gone")
	gone.End(func(*runlog.Record) {})
	if err := l.Remove(gone.ID()); err != nil {
		t.Fatal(err)
	}
	for key, free := range map[string]bool{"running": false, "ended": false, "old": true, "gone": false, "new": true} {
		is(key, free)
	}
	files, err := filepath.Glob(filepath.Join(l.Dir, "keys", "*"))
	if err != nil || len(files) != 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files { // what is not needed goes when it is old
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	is("running", false)
	// running, ended and gone, which was bound today
	if files, _ = filepath.Glob(filepath.Join(l.Dir, "keys", "*")); len(files) != 3 {
		t.Errorf("%d files are left", len(files))
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte(`{"run":"`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	is("ended", true)
	k := take("ended")
	defer k.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if other, err := l.Key(ctx, "ended"); err == nil {
		_ = other.Close()
		t.Error("two hold one key")
	}
}
