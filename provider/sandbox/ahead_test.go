//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// keepAhead has a provider keep a first process ahead, until it is told to stop.
func keepAhead(t testing.TB, p *sandbox.Provider) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Ahead(ctx) }()
	waitAhead(t, p)
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func waitAhead(t testing.TB, p *sandbox.Provider) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !p.HasAhead(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is started ahead")
		}
	}
}

// bornAhead reports whether a sandbox was made of a process that had been there before.
func bornAhead(t *testing.T, dir string, id compute.ID) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "instances", string(id), "life"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), `"group":"ahead-`)
}

func TestAhead(t *testing.T) { madeAhead(t) }

func TestAheadAsUser(t *testing.T) {
	if asUser(t) {
		madeAhead(t)
	}
}

// madeAhead: what is made of a process that was started ahead is as any other sandbox, and when
// nobody wants one any more nothing is left.
func madeAhead(t *testing.T) {
	dir := t.TempDir()
	before := traces(t, dir)
	p := open(t, sandbox.Options{Dir: dir})
	stop := keepAhead(t, p)
	for n := range 3 {
		id := compute.ID(fmt.Sprintf("ahead-%d", n)) // called as a group of one may be
		waitAhead(t, p)
		if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
			t.Fatal(err)
		}
		// an ordinary user's sees the mounts of before, so it is not taken while others mount
		if os.Geteuid() == 0 && !bornAhead(t, dir, id) {
			t.Errorf("%s was made of a process of its own", id)
		}
		works(t, p, id)
	}
	waitAhead(t, p)
	if _, err := p.Clean(t.Context(), "ahead-0"); err != nil {
		t.Fatal(err)
	}
	works(t, p, "ahead-0")
	if os.Geteuid() == 0 { // who can limit memory
		if _, err := p.Create(t.Context(), compute.Spec{ID: "larger", Memory: most(t)}); err != nil {
			t.Fatal(err)
		}
		if bornAhead(t, dir, "larger") {
			t.Error("a sandbox with other limits was made of it")
		}
		works(t, p, "larger")
	}
	for _, id := range []compute.ID{"ahead-0", "ahead-1", "ahead-2", "larger"} {
		gone(t, p, id)
	}
	waitAhead(t, p)
	stop()
	if p.HasAhead() {
		t.Error("one is kept though nobody wants any")
	}
	settled(t, dir, before, "one was kept ahead")
}

func TestProviderAhead(t *testing.T) {
	dir := t.TempDir()
	computetest.Provider(t, computetest.ProviderOptions{
		New: func(t *testing.T) compute.Provider {
			p := open(t, sandbox.Options{Dir: dir})
			t.Cleanup(keepAhead(t, p))
			return p
		},
		Foreign: func(t *testing.T) compute.Provider {
			return open(t, sandbox.Options{Dir: dir, Source: "suite", Installation: "theirs"})
		},
		Installation: mine(),
		// one is there ahead as long as there is a provider
		Leak: func() []string { return nil },
	})
}

// TestKilledAhead kills the process that makes and cleans a sandbox with one ahead, at each step.
func TestKilledAhead(t *testing.T) {
	for _, do := range []string{"create", "clean"} {
		t.Run(do, func(t *testing.T) {
			for step := 1; ; step++ {
				dir := t.TempDir()
				before := traces(t, dir)
				p := open(t, sandbox.Options{Dir: dir})
				if do == "clean" {
					if _, err := p.Create(t.Context(), compute.Spec{ID: "crash"}); err != nil {
						t.Fatal(err)
					}
				}
				steps, dead := crash{Dir: dir, Do: do, Step: step, Upper: "ram", Ahead: true}.run(t)
				gone(t, p, "crash")
				// what was ahead ends when it sees that nobody is left, and then there is its group
				for range 3000 {
					if len(groups(t)) == 0 {
						break
					}
					time.Sleep(10 * time.Millisecond)
					gone(t, p, "crash")
				}
				settled(t, dir, before, fmt.Sprintf("a kill at step %d of %v", step, steps))
				if !dead {
					break
				}
			}
		})
	}
}

// most is the memory of this machine, in bytes: more than a sandbox gets that does not ask.
func most(t *testing.T) int64 {
	t.Helper()
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// TestDeadAhead: a process that was killed while nobody wanted it is no reason that anybody gets
// none.
func TestDeadAhead(t *testing.T) {
	dir := t.TempDir()
	p := open(t, sandbox.Options{Dir: dir})
	defer keepAhead(t, p)()
	for n := range 3 {
		waitAhead(t, p)
		if err := syscall.Kill(p.AheadPID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(n) * 5 * time.Millisecond)
		id := compute.ID(fmt.Sprint("dead-", n))
		if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
			t.Fatal(err)
		}
		works(t, p, id)
		gone(t, p, id)
	}
}

// TestAheadKept: one that will do is kept whatever else is made, and only one call keeps any.
func TestAheadKept(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	defer keepAhead(t, p)()
	if err := p.Ahead(t.Context()); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("a second call: %v", err)
	}
	if os.Geteuid() != 0 {
		return // no limits of one's own
	}
	was := p.AheadPID()
	for n := range 3 {
		id := compute.ID(fmt.Sprint("other-", n))
		if _, err := p.Create(t.Context(), compute.Spec{ID: id, Memory: most(t)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond) // for whoever would start another one
		gone(t, p, id)
	}
	if now := p.AheadPID(); now != was {
		t.Errorf("process %d is kept in place of %d, which would have done", now, was)
	}
}

// TestSignals: what root inside sends to the first process does not end it.
func TestSignals(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "signals"}); err != nil {
		t.Fatal(err)
	}
	defer gone(t, p, "signals")
	c, err := p.Connect(t.Context(), "signals")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exit, err := c.Run(
		t.Context(),
		&compute.Command{Args: []string{"sh", "-c", "for s in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 24 25 26 30 31; do kill -$s 1; done"}},
	)
	if err != nil || exit.Status() != 0 {
		t.Fatalf("exit = %v, err = %v; want no error and exit.Status() == 0", exit, err)
	}
	works(t, p, "signals")
}

// TestKilledUnder: who runs a command in a sandbox that is killed hears that.
func TestKilledUnder(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "under"}); err != nil {
		t.Fatal(err)
	}
	defer gone(t, p, "under")
	c, err := p.Connect(t.Context(), "under")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Run(t.Context(), &compute.Command{Args: []string{"sleep", "600"}})
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if err := syscall.Kill(p.PID("under"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, compute.ErrLost) || !strings.Contains(err.Error(), "under") ||
		!strings.Contains(err.Error(), "has ended") || compute.Hint(err) == "" {
		t.Errorf("it hears: %v (%s)", err, compute.Hint(err))
	}
}

// TestOwnName: a sandbox knows its own name without asking anybody.
func TestOwnName(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "own-name"}); err != nil {
		t.Fatal(err)
	}
	defer gone(t, p, "own-name")
	c, err := p.Connect(t.Context(), "own-name")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out strings.Builder
	if _, err := c.Run(
		t.Context(),
		&compute.Command{Args: []string{"sh", "-c", "getent hosts $(cat /etc/hostname) localhost"}, Stdout: &out},
	); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "127.0.1.1") || !strings.Contains(out.String(), "localhost") {
		t.Errorf("the names that it knows: %q", out.String())
	}
}
