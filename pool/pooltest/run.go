package pooltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// Outcome is what came of a scenario.
type Outcome struct {
	Broken string   // the first thing that must never be; "": nothing
	Trace  string   // the last lines of it, if something is broken
	Hash   uint64   // of the whole trace: all that each transaction wrote, and each answer
	Turns  int      // how long it is
	Did    Scenario // with all that was left open
	Passed map[Passage]int
}

// Options change how a scenario is run.
type Options struct {
	Dir   string // for stores that need not outlive anything, best in memory; "": one of the test's
	Whole bool   // the trace is told whole, whatever comes of it
	// Engine changes the options of each engine that is made; nil: nothing is changed.
	Engine func(*pool.Options)
}

// Run runs a scenario, and reports to t what must never be.
func Run(t *testing.T, s Scenario) Outcome {
	t.Helper()
	if runtime.GOMAXPROCS(0) != 1 {
		OneP(t)
	}
	o, err := Simulate(t, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o.Broken != "" {
		t.Errorf("scenario of seed %d: %s\n%s", s.Seed, o.Broken, o.Trace)
	}
	return o
}

// Simulate runs a scenario on one P (see OneP).
func Simulate(t *testing.T, s Scenario, opt Options) (Outcome, error) {
	return simulate(t, s, opt, bend{})
}

func simulate(t *testing.T, s Scenario, opt Options, b bend) (out Outcome, err error) {
	if opt.Dir == "" {
		opt.Dir = Memory(t)
	}
	here, err := newPlace(opt.Dir)
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(here)
	synctest.Test(t, func(*testing.T) {
		var w *world
		if w, err = newWorld(&s, here, b); err != nil {
			return
		}
		w.engine = opt.Engine
		w.run()
		out = Outcome{Broken: w.sched.broken, Hash: w.sched.hash, Turns: w.sched.turns, Passed: w.passed}
		switch {
		case opt.Whole:
			out.Trace = w.sched.tail(len(w.sched.marks))
		case out.Broken != "":
			out.Trace = w.sched.tail(400)
		}
		w.settle()
		s.Users = nil
		for _, u := range w.users {
			s.Users = append(s.Users, User{u.name, u.slot, u.does[:u.next]})
		}
	})
	out.Did = s
	return out, err
}

// run has all processes live until their users are done, and looks at what is left.
func (w *world) run() {
	for slot := range w.procs {
		w.start(slot)
	}
	w.sched.check = func() {
		if w.sched.turns%64 == 0 {
			w.clouds(false)
		}
		w.starving()
		if w.sched.turns%256 == 0 {
			for _, p := range w.procs {
				if p != nil {
					compare(w, p)
					break
				}
			}
		}
	}
	w.sched.run(3*time.Hour, func() bool { return !w.busy(-1) })
	if !w.sched.failed() {
		w.outages()
		finish(w)
	}
	for _, p := range w.procs {
		if p != nil {
			p.kill()
		}
	}
	w.calm = true
	for _, u := range w.users {
		u.done = true
	}
	w.sched.crash = func(*process) bool { return false }
	w.sched.sweep()
}

// settle lets everything end that still sleeps.
func (w *world) settle() {
	for range 100 {
		synctest.Wait()
		w.sched.mu.Lock()
		for _, sp := range w.sched.parked {
			sp.proc.dead.Store(true)
		}
		w.sched.mu.Unlock()
		w.sched.sweep()
		time.Sleep(time.Hour)
	}
}

// newPlace makes a directory with a store, below dir. That is the copy of one that is made once.
func newPlace(dir string) (string, error) {
	template := filepath.Join(dir, "template.db")
	if _, err := os.Stat(template); err != nil {
		st, err := sqlite.Open(context.Background(), template, sqlite.Options{Unsafe: true})
		if err != nil {
			return "", err
		}
		err = st.Update(context.Background(), func(tx store.Tx) error { _, err := tx.NextNumber("none"); return err })
		if err := errors.Join(err, st.Close()); err != nil {
			return "", err
		}
	}
	here, err := os.MkdirTemp(dir, "seed")
	for _, end := range []string{"", "-wal"} {
		if err == nil {
			err = copyFile(filepath.Join(here, "state.db"+end), template+end)
		}
	}
	return here, err
}

// copyFile copies a file, if it is there.
func copyFile(to, from string) error {
	f, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.Copy(out, f)
		err = errors.Join(err, out.Close())
	}
	return errors.Join(err, f.Close())
}

// Memory returns a directory for stores that need not outlive anything.
func Memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "hostler-simulate-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// OneP makes the ids of goroutines grow in the order in which they were begun, for as long as the
// test runs, so that a scenario replays.
func OneP(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip(runtime.GOOS + ": the workers of one process cannot be told apart by their locks here")
	}
	was := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

// String is a passage for people.
func (p Passage) String() string {
	if p.From == "" {
		return fmt.Sprintf("%s of no record", p.Step)
	}
	return fmt.Sprintf("%s from %s", p.Step, p.From)
}
