//go:build linux

package vm_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
)

// rehearsed waits until a machine has had its rehearsal.
func rehearsed(t testing.TB, p *vm.Provider, id compute.ID) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, stage := p.PID(id)
		if stage == "paused" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is %s, and not rehearsed", id, stage)
		}
	}
}

// silent returns a provider that rehearses nothing by itself.
func silent(t testing.TB, o vm.Options) *vm.Provider {
	p := open(t, o)
	p.SetStep(func(string) error { return nil })
	return p
}

// state is what qemu says of a machine.
func state(t testing.TB, p *vm.Provider, id compute.ID) string {
	t.Helper()
	s, err := p.State(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRehearsal looks at a machine before, during and after its rehearsal, and uses it then: it is
// nobody's copy at each of these times.
func TestRehearsal(t *testing.T) {
	o := warm(t)
	p := silent(t, o)
	var seen []string
	self := func(id compute.ID) {
		c := connect(t, p, id)
		defer c.Close()
		s := sh(t, c, "cat /etc/hostname /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; cat /proc/sys/kernel/random/uuid")
		if !strings.HasPrefix(s, string(id)+"\n") {
			t.Errorf("%s is %q", id, s)
		}
		for _, line := range strings.Split(s, "\n") {
			if slices.Contains(seen, line) {
				t.Errorf("%s has %q as another had", id, line)
			}
			seen = append(seen, line)
		}
		if _, stage := p.PID(id); stage != "named" || state(t, p, id) != "running" {
			t.Errorf("%s is used, and %s, %s", id, stage, state(t, p, id))
		}
	}
	before := compute.ID("suite-before")
	create(t, p, before)
	if _, stage := p.PID(before); stage != "restored" || state(t, p, before) != "paused" {
		t.Errorf("before its rehearsal it is %s, %s", stage, state(t, p, before))
	}
	self(before)
	if err := p.Rehearse(t.Context(), before); err != nil || state(t, p, before) != "running" {
		t.Errorf("rehearsed while it is in use: %v, it is %s", err, state(t, p, before))
	}

	during := compute.ID("suite-during")
	create(t, p, during)
	p.SetStep(func(step string) error {
		if step == "practise" { // nobody holds its lock
			self(during)
		}
		return nil
	})
	if err := p.Rehearse(t.Context(), during); err != nil || state(t, p, during) != "running" {
		t.Errorf("rehearsed while it came into use: %v, it is %s", err, state(t, p, during))
	}
	p.SetStep(func(string) error { return nil })

	after := compute.ID("suite-after")
	create(t, p, after)
	if err := p.Rehearse(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if _, stage := p.PID(after); stage != "paused" || state(t, p, after) != "paused" {
		t.Errorf("after its rehearsal it is %s, %s", stage, state(t, p, after))
	}
	self(after)
}

// TestRehearsedByItself looks that machines are rehearsed after they were made, were cleaned, and
// were left by a process that has died, and that a rehearsal ends when the machine is wanted, is
// destroyed, or the provider is closed.
func TestRehearsedByItself(t *testing.T) {
	o := warm(t)
	p := open(t, o)
	create(t, p, "suite-1")
	rehearsed(t, p, "suite-1")
	if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	rehearsed(t, p, "suite-1")

	// Left in the middle, as it is when a process is killed.
	q := silent(t, o)
	create(t, q, "suite-2")
	q.SetStep(func(step string) error {
		if step == "practise" {
			return vm.ErrKilled
		}
		return nil
	})
	if err := q.Rehearse(t.Context(), "suite-2"); !errors.Is(err, vm.ErrKilled) || state(t, q, "suite-2") != "running" {
		t.Fatalf(
			`err = %v, state(t, q, "suite-2") = %s`+
				`; want error vm.ErrKilled and state(t, q, "suite-2") == "running"`,
			err, state(t, q, "suite-2"),
		)
	}
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	rehearsed(t, p, "suite-2")
	if s := state(t, p, "suite-2"); s != "paused" {
		t.Errorf("it is %s", s)
	}

	for n, wait := range []time.Duration{0, 150 * time.Millisecond, 400 * time.Millisecond, time.Second} {
		create(t, p, "suite-3")
		time.Sleep(wait)
		switch n % 2 {
		case 0:
			if got := sh(t, connect(t, p, "suite-3"), "hostname"); got != "suite-3" {
				t.Errorf("it is %q", got)
			}
		case 1:
			pid, _ := p.PID("suite-3")
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		destroy(t, p, "suite-3")
	}

	create(t, p, "suite-4")
	time.Sleep(300 * time.Millisecond) // the rehearsal has begun by then, as a rule
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s := state(t, p, "suite-4"); s != "paused" {
		t.Errorf("the provider is closed, and it is %s", s)
	}
	if got := sh(t, connect(t, open(t, o), "suite-4"), "hostname"); got != "suite-4" {
		t.Errorf("it is %q", got)
	}
}

// TestRehearsedByMany has many processes' providers rehearse, use, clean and destroy the same
// machines.
func TestRehearsedByMany(t *testing.T) {
	o := warm(t)
	p := open(t, o)
	ids := []compute.ID{"suite-1", "suite-2"}
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			q := open(t, o)
			defer q.Close()
			for round := range 4 {
				id := ids[(n+round)%len(ids)]
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				var err error
				switch (n + round) % 4 {
				case 0:
					_, err = q.Create(ctx, compute.Spec{ID: id})
				case 1:
					_, err = q.Create(ctx, compute.Spec{ID: id})
					if err == nil {
						err = q.Rehearse(ctx, id)
					}
				case 2:
					_, err = q.Clean(ctx, id)
				case 3:
					var c compute.Conn
					if c, err = q.Connect(ctx, id); err == nil {
						_, err = c.Run(ctx, &compute.Command{Args: []string{"true"}})
						_ = c.Close()
					}
				}
				cancel()
				// What is cleaned under its user's hands is lost to him, and what was not yet made
				// is not there.
				if err != nil && !errors.Is(err, compute.ErrNotFound) && !errors.Is(err, compute.ErrLost) &&
					!errors.Is(err, compute.ErrNotReady) {
					t.Errorf("user %d, round %d: %v", n, round, err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		create(t, p, id)
		c := connect(t, p, id)
		if got := sh(t, c, "hostname"); got != string(id) {
			t.Errorf("it is %q", got)
		}
		c.Close()
		destroy(t, p, id)
	}
	for _, x := range left(t, o.Dir) {
		if !strings.Contains(x, filepath.Join("trash", "")) {
			t.Error("left behind:", x)
		}
	}
}
