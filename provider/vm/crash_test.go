//go:build linux

package vm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
)

// killedAt has a provider die before its n-th step, and do nothing from then on. It returns where
// it died.
func killedAt(p *vm.Provider, n int) *string {
	at, died := 0, ""
	p.SetStep(func(step string) error {
		if died == "" && at == n {
			died = step
		}
		if died != "" {
			return vm.ErrKilled
		}
		at++
		return nil
	})
	return &died
}

// TestKilledAtEachStep ends create, clean, rehearsal, first use and destroy at each of their steps,
// as kill -9 would, and lets another opening go on.
func TestKilledAtEachStep(t *testing.T) {
	o := warm(t)
	most := map[string]int{"create": 6, "clean": 6, "rehearse": 5, "use": 3, "use at once": 3, "destroy": 2}
	for _, verb := range []string{"create", "clean", "rehearse", "use", "use at once", "destroy"} {
		t.Run(verb, func(t *testing.T) {
			var steps []string
			for n := 0; ; n++ {
				p, id := silent(t, o), compute.ID("suite-"+strings.ReplaceAll(verb, " ", "-"))
				do := func(p *vm.Provider) error {
					switch verb {
					case "create":
						_, err := p.Create(t.Context(), compute.Spec{ID: id})
						return err
					case "clean":
						_, err := p.Clean(t.Context(), id)
						return err
					case "rehearse":
						return p.Rehearse(t.Context(), id)
					case "use", "use at once":
						c, err := p.Connect(t.Context(), id)
						if err != nil {
							return err
						}
						defer c.Close()
						_, err = c.Run(t.Context(), &compute.Command{Args: []string{"true"}})
						return err
					}
					return p.Destroy(t.Context(), id)
				}
				if verb != "create" {
					create(t, p, id)
				}
				if verb == "use" {
					if err := p.Rehearse(t.Context(), id); err != nil {
						t.Fatal(err)
					}
				}
				if verb == "clean" {
					c := connect(t, p, id)
					sh(t, c, "echo secret > /tmp/secret")
					c.Close()
				}
				died := killedAt(p, n)
				err := do(p)
				if *died == "" {
					if err != nil {
						t.Fatalf("not killed: %v", err)
					}
					if len(steps) < most[verb] {
						t.Errorf("only %d steps: %v", len(steps), steps)
					}
					destroy(t, open(t, o), id)
					return
				}
				steps = append(steps, *died)
				if !errors.Is(err, vm.ErrKilled) {
					t.Fatalf("killed at %s: %v", *died, err)
				}
				q := open(t, o)
				all, err := q.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				there := slices.ContainsFunc(all, func(in compute.Instance) bool { return in.ID == id })
				if gone := *died == "begin" || *died == "name" || *died == "delete"; there == gone {
					t.Errorf("killed at %s, List has it: %v", *died, there)
				}
				if verb != "destroy" && n%2 == 0 { // the other half is destroyed as it is
					if err := do(q); err != nil {
						t.Fatalf("%s again, after it was killed at %s: %v", verb, *died, err)
					}
					c := connect(t, q, id)
					if got := sh(t, c, "hostname; test ! -e /tmp/secret"); got != string(id) {
						t.Errorf("killed at %s, then it is %q", *died, got)
					}
					c.Close()
				}
				destroy(t, q, id)
				for _, x := range left(t, o.Dir) {
					if strings.Contains(x, "/new-") { // deleted an hour later
						_ = os.RemoveAll(x)
						continue
					}
					t.Errorf("killed at %s: left is %s", *died, x)
				}
			}
		})
	}
}

// TestKilledWhileSaving dies while the machine to be saved boots, and before it is put in its
// place.
func TestKilledWhileSaving(t *testing.T) {
	o := lab(t)
	o.Warm, o.Dir = true, filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	dead := false
	p.SetStep(func(step string) error {
		if dead = dead || step == "template booted"; dead {
			return vm.ErrKilled
		}
		return nil
	})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, vm.ErrKilled) {
		t.Fatal(err)
	}
	running := func() (n int) {
		for _, x := range left(t, o.Dir) {
			if strings.HasPrefix(x, "process ") {
				n++
			}
		}
		return n
	}
	if running() != 1 {
		t.Fatalf("the dead left %v", left(t, o.Dir))
	}
	q := open(t, o)
	if _, err := q.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
		t.Fatal(err)
	}
	if running() != 1 {
		t.Errorf("with one instance there is %v", left(t, o.Dir))
	}
	destroy(t, q, "suite-1")
	if running() != 0 {
		t.Errorf("left behind: %v", left(t, o.Dir))
	}
}

// TestQemuKilled kills an instance's qemu while a command runs in it, and one that is paused.
func TestQemuKilled(t *testing.T) {
	p := open(t, warm(t))
	create(t, p, "suite-1")
	create(t, p, "suite-2")
	c := connect(t, p, "suite-1")
	ended := make(chan error, 1)
	go func() {
		_, err := c.Run(t.Context(), &compute.Command{Args: []string{"sleep", "100"}})
		ended <- err
	}()
	time.Sleep(300 * time.Millisecond) // the command has begun by then, as a rule
	sh(t, c, "true")
	for _, id := range []compute.ID{"suite-1", "suite-2"} {
		if err := p.Check(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		pid, _ := p.PID(id)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, compute.ErrLost) {
			t.Errorf("the command: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the command does not end")
	}
	for _, id := range []compute.ID{"suite-1", "suite-2"} {
		if err := p.Check(t.Context(), id); !errors.Is(err, compute.ErrLost) || compute.Hint(err) == "" {
			t.Errorf("Check: %v", err)
		}
		if _, err := p.Connect(t.Context(), id); !errors.Is(err, compute.ErrLost) || errors.Is(err, compute.ErrNotReady) {
			t.Errorf("Connect: %v", err)
		}
		if _, err := p.Clean(t.Context(), id); err != nil { // clean makes it anew
			t.Errorf("Clean: %v", err)
		}
		sh(t, connect(t, p, id), "true")
	}
}

// TestOtherProcess looks that a process which has the number of an instance's qemu, and is not it,
// is left alone.
func TestOtherProcess(t *testing.T) {
	o := warm(t)
	p := open(t, o)
	create(t, p, "suite-1")
	pid, _ := p.PID("suite-1")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// it is gone before the next one looks
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || len(b) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("killed, and still there")
		}
	}
	file := filepath.Join(p.Home("suite-1"), "owner")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// our own number, with qemu's time of start
	now := strings.Replace(string(b), `"pid":`, `"pid":`+strconv.Itoa(os.Getpid())+`,"was":`, 1)
	if now == string(b) {
		t.Fatalf("b = %s; want now != string(b)", b)
	}
	if err := os.WriteFile(file, []byte(now), 0o600); err != nil {
		t.Fatal(err)
	}
	destroy(t, p, "suite-1") // and we live
}

// TestAbandoned ends Create by its context while the machine to be saved boots: nothing is left,
// and the next Create succeeds.
func TestAbandoned(t *testing.T) {
	o := lab(t)
	o.Warm, o.Dir = true, filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if _, err := p.Create(ctx, compute.Spec{ID: "suite-1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	destroy(t, p, "suite-1")
	for _, x := range left(t, o.Dir) {
		t.Error("left behind:", x)
	}
}
