package pool_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// children are the programs that this test binary can be in place of running tests: other processes
// on the same state.
var children = map[string]func(dir string, args []string) error{}

func init() { children["crash"] = crashChild }

func TestMain(m *testing.M) {
	if name := os.Getenv("HOSTLER_TEST_CHILD"); name != "" {
		if err := children[name](os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// -rapid.checks still has the last word
	if c := flag.Lookup("rapid.checks"); c != nil && raced {
		_ = c.Value.Set("40")
	}
	os.Exit(m.Run())
}

func child(ctx context.Context, name, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], append([]string{dir}, args...)...)
	c.Env = append(os.Environ(), "HOSTLER_TEST_CHILD="+name)
	c.Stderr = os.Stderr
	return c
}

// crashSources have everything that has steps: hooks of all kinds, cleaning, a reserve, a pool in
// front and a pool over that.
var crashSources = []pool.Source{
	{
		Name: "leaf", Type: "fake", Digest: "d", Reserve: 1, Maximum: 4,
		Hooks: []string{"provision", "discard", "acquire", "release", "check"},
	},
	{Name: "mid", Type: "pool", Digest: "d", Children: []string{"leaf"}, Hooks: []string{"provision", "discard"}},
	{Name: "top", Type: "pool", Digest: "d", Children: []string{"mid"}},
}

// onDisk opens an engine whose fakes live on the disk, so that they outlive processes as real
// computers do.
func onDisk(dir string, sources []pool.Source, step func(string)) (*pool.Pool, *sqlite.Store, error) {
	st, err := sqlite.Open(context.Background(), filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	p, err := engineOn(dir, st, sources, step)
	return p, st, err
}

// engineOn is an engine on an open store, with its fakes in a directory.
func engineOn(dir string, st pool.Store, sources []pool.Source, step func(string)) (*pool.Pool, error) {
	return pool.New(pool.Options{Store: st, Sources: sources, NewID: uuid.NewString, Step: step,
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: name, Installation: st.Installation(),
				Dir: filepath.Join(dir, "fakes", name), State: "disk"})
		},
		Hooks: func(ctx context.Context, c pool.HookCall) error {
			for n := c.Resume; n < 2; n++ {
				f, err := os.OpenFile(filepath.Join(dir, "hooks"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(f, "%s %s %d\n", c.Event, c.Instance.ID, n)
				if err = errors.Join(err, f.Close(), c.Done(n+1, fmt.Sprint(n))); err != nil {
					return err
				}
			}
			return nil
		}})
}

// crashOps are what the dying process does.
var crashOps = map[string]func(ctx context.Context, p *pool.Pool) error{
	"acquire": func(ctx context.Context, p *pool.Pool) error {
		ls, err := p.Acquire(ctx, compute.Request{Source: "top", Count: 2, Owner: "ann"})
		if err == nil {
			for _, l := range ls {
				fmt.Println("given", l.Instance)
			}
		}
		return err
	},
	"release": func(ctx context.Context, p *pool.Pool) error {
		err := p.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, "top-mid-leaf-1", "top-mid-leaf-2")
		if err == nil {
			fmt.Println("released")
		}
		return err
	},
	"discard": func(ctx context.Context, p *pool.Pool) error {
		err := p.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{Discard: true}, "top-mid-leaf-2")
		if err == nil {
			fmt.Println("released")
		}
		return err
	},
	"direct": func(ctx context.Context, p *pool.Pool) error {
		for _, d := range []plan.Directive{
			{Verb: plan.VerbTarget, Target: inventory.Target{Reserve: 2, Until: time.Now().Add(time.Hour)}},
			{Verb: plan.VerbCreate, Count: 2, Total: 2},
			{Verb: plan.VerbStop, Instance: "leaf-1"},
			{Verb: plan.VerbStart, Instance: "leaf-1"},
			{Verb: plan.VerbStop, Instance: "leaf-2"},
			{Verb: plan.VerbDiscard, Instance: "leaf-2"},
			{Verb: plan.VerbStop, Instance: "leaf-1"},
		} {
			d.Source, d.Reason = "leaf", "so it is wanted"
			finish, err := p.Do(ctx, d)
			if err == nil && finish != nil {
				err = finish(ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
	"test": func(ctx context.Context, p *pool.Pool) error {
		_, err := p.Test(ctx, "top")
		return err
	},
	"fill": func(ctx context.Context, p *pool.Pool) error {
		_, err := p.Fill(ctx, "leaf")
		return err
	},
}

// crashChild does an operation and kills itself at the n-th step; -1: never, and it tells the
// number of steps.
func crashChild(dir string, args []string) error {
	at, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	steps := make(chan string, 10000)
	p, st, err := onDisk(dir, crashSources, func(name string) {
		steps <- name
		if len(steps) == at+1 {
			fmt.Println("dies at", name)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	if err != nil {
		return err
	}
	if err := crashOps[args[0]](context.Background(), p); err != nil {
		return err
	}
	fmt.Println("steps", len(steps))
	return st.Close()
}

// TestKilled kills a process at every recorded step of every operation. The next one must find
// nothing doubled and nothing leaked, what was told to the user must hold, and a computer of
// somebody else's must not be touched.
func TestKilled(t *testing.T) {
	for op := range crashOps {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			steps := -1
			for at := -1; at < steps || at == -1; at++ {
				died, out := killedAt(t, op, at)
				if at == -1 {
					if i := strings.LastIndex(out, "steps "); i >= 0 {
						steps, _ = strconv.Atoi(strings.TrimSpace(out[i+len("steps "):]))
					}
					if steps < 3 {
						t.Fatalf("%s has %d steps only: %s", op, steps, out)
					}
				} else if !died {
					// The number of steps may differ by a race of two parts done at once.
					t.Logf("%s: step %d of %d was not reached", op, at, steps)
				}
			}
			t.Logf("%s: killed at %d steps", op, steps)
		})
	}
}

func killedAt(t *testing.T, op string, at int) (died bool, out string) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	prepare(t, dir, op)
	b, err := child(ctx, "crash", dir, op, strconv.Itoa(at)).Output()
	out = string(b)
	died = strings.Contains(out, "dies at")
	if !died && err != nil {
		t.Fatalf("%s, step %d: %v\n%s", op, at, err, out)
	}
	what := fmt.Sprintf("%s, killed at step %d (%s)", op, at, strings.TrimSpace(out))

	p, st, err := onDisk(dir, crashSources, nil)
	must(t, err)
	defer st.Close()
	for range 3 {
		if _, err := p.RunDue(ctx); err != nil {
			t.Fatalf("%s: repair: %v", what, err)
		}
	}
	// What was told holds.
	for _, line := range strings.Split(out, "\n") {
		if id, ok := strings.CutPrefix(line, "given "); ok {
			if _, err := p.Authorize(ctx, compute.Who{Owner: "ann"}, compute.ID(id)); err != nil {
				t.Fatalf("%s: was given %s, and now: %v", what, id, err)
			}
		}
		if line == "released" {
			if _, err := p.Authorize(ctx, compute.Who{Owner: "ann"}, "top-mid-leaf-2"); err == nil {
				t.Fatalf("%s: was released, and is still in use", what)
			}
		}
	}
	// Everything is at rest, and the records are the computers.
	is, err := p.Instances(ctx, inventory.InstanceQuery{})
	must(t, err)
	records := map[compute.ID]bool{}
	leased := 0
	for _, i := range is {
		switch i.State {
		case compute.Ready:
		case compute.Leased:
			if i.Source == "top" {
				leased++
			}
		default:
			t.Fatalf("%s: %s is still %s (%s)", what, i.ID, i.State, i.Reason)
		}
		if i.Source == "leaf" {
			records[i.ID] = true
		}
		if i.Child != "" &&
			!slices.ContainsFunc(is, func(j compute.Instance) bool { return j.ID == i.Child && j.State == compute.Leased }) {
			t.Fatalf("%s: nothing in use is behind %s", what, i.ID)
		}
	}
	judgeInventory(t, what, dir, st, records)
	ls, err := p.Leases(ctx, inventory.LeaseQuery{})
	must(t, err)
	for _, l := range ls {
		if l.Worker != 0 {
			t.Fatalf("%s: lease of %s belongs to a dead worker", what, l.Instance)
		}
		if l.Pool != "" && !slices.ContainsFunc(is, func(j compute.Instance) bool { return j.ID == l.Pool && j.Child == l.Instance }) {
			t.Fatalf("%s: %s is leased to %s, which does not hold it", what, l.Instance, l.Pool)
		}
	}
	// A test, and filling, may be asked for again, as nobody was answered: what the dead process
	// had for it is given back, and as much is made as is wanted.
	if op == "test" || op == "fill" {
		if leased > 0 {
			t.Fatalf("%s: %d are in use, and nobody was told", what, leased)
		}
		if err := crashOps[op](ctx, p); err != nil {
			t.Fatalf("%s: asked again: %v", what, err)
		}
		is, err := p.Instances(ctx, inventory.InstanceQuery{})
		must(t, err)
		if len(is) > 1 {
			t.Fatalf("%s: asked again, there are %d, and one is wanted: %v", what, len(is), is)
		}
	}
	// What runs by the records runs, and what is stopped is started for who asks for it.
	if op == "direct" {
		ls, err := p.Acquire(ctx, compute.Request{Source: "leaf", Count: 4, Owner: "bob"})
		if err != nil {
			t.Fatalf("%s: then acquiring all: %v", what, err)
		}
		for _, l := range ls {
			c, err := p.Connect(ctx, compute.Who{Owner: "bob"}, l.Instance)
			if err != nil {
				t.Fatalf("%s: err = %v; want no error", what, err)
			}
			must(t, c.Close())
		}
	}
	// All of it can be used: nothing is lost under the maximum.
	if died && op == "acquire" && !strings.Contains(out, "given") {
		ls, err := p.Acquire(ctx, compute.Request{Source: "top", Count: 4 - leased, Owner: "bob"})
		if err != nil || len(ls) != 4-leased {
			t.Fatalf("%s: then acquiring all of them: %v", what, err)
		}
	}
	return died, out
}

// prepare brings a state to where an operation begins, and puts a computer of another installation
// beside ours.
func prepare(t *testing.T, dir, op string) {
	t.Helper()
	ctx := t.Context()
	foreign, err := fake.Open(
		ctx, slog.New(slog.DiscardHandler),
		fake.Options{Source: "leaf", Installation: "somebody-else", Dir: filepath.Join(dir, "fakes", "leaf"), State: "disk"},
	)
	must(t, err)
	_, err = foreign.Create(ctx, compute.Spec{ID: "leaf-99", Source: "leaf", Installation: "somebody-else"})
	must(t, err)
	p, st, err := onDisk(dir, crashSources, nil)
	must(t, err)
	defer st.Close()
	switch op {
	case "release", "discard":
		ls, err := p.Acquire(ctx, compute.Request{Source: "top", Count: 2, Owner: "ann"})
		must(t, err)
		if len(ls) != 2 || ls[0].Instance != "top-mid-leaf-1" {
			t.Fatalf("got %v", ls)
		}
	case "acquire":
		_, err := p.Fill(ctx, "leaf") // so that one part of the request is cached and one is made
		must(t, err)
		time.Sleep(time.Millisecond)
	}
}

// judgeInventory compares what is at the provider's with the records, and somebody else's with
// what it was.
func judgeInventory(t *testing.T, what, dir string, st *sqlite.Store, records map[compute.ID]bool) {
	t.Helper()
	stock(t, what, dir, "leaf", st, records)
	there := listed(t, dir, "leaf", "somebody-else")
	if !slices.Equal(there, []compute.ID{"leaf-99"}) {
		t.Fatalf("%s: somebody else has %v", what, there)
	}
}

// stock compares what is at the provider's with the records.
func stock(t *testing.T, what, dir, source string, st pool.Store, records map[compute.ID]bool) {
	t.Helper()
	there := listed(t, dir, source, st.Installation())
	for _, id := range there {
		if !records[id] {
			t.Fatalf("%s: %s leaked", what, id)
		}
	}
	if len(there) != len(records) {
		t.Fatalf("%s: of %d computers only %d are there", what, len(records), len(there))
	}
}

func listed(t *testing.T, dir, source, installation string) (ids []compute.ID) {
	t.Helper()
	f, err := fake.Open(t.Context(), slog.New(slog.DiscardHandler), fake.Options{Source: source, Installation: installation,
		Dir: filepath.Join(dir, "fakes", source), State: "disk"})
	must(t, err)
	there, err := f.List(t.Context())
	must(t, err)
	for _, i := range there {
		ids = append(ids, i.ID)
	}
	return ids
}
