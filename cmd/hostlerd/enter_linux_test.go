package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/cli/term"
)

// endSandbox kills the first process of a sandbox.
func endSandbox(t *testing.T, m *machine, id string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.state(), "instances", "*", "*", "instances", id, "life"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found = %v, err = %v; want no error and len(found) == 1", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var life struct{ PID int }
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&life); err != nil || life.PID <= 1 {
		t.Fatalf("%s: err = %v; want no error and life.PID > 1", text, err)
	}
	if err := syscall.Kill(life.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	home, err := os.Open(filepath.Dir(found[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	until(t, id+" has ended", func() bool { // the socket's own path may be too long for an address
		c, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/agent", home.Fd()))
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
	})
}

// TestAnotherIsTaken has computers end while they stand ready, and nobody know: a run that is given
// one has lost nothing, and takes the next, alone and as one of several. Of what it has by name it
// does not, and three in a row are enough.
func TestAnotherIsTaken(t *testing.T) {
	sandboxes(t)
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprint("served=", served), func(t *testing.T) {
			m := shownMachine(t)
			m.program = lookIn(plainPath(t), "hostler")
			// a ready one shows no other tree
			m.source("boxes", "type = sandbox\nreserve = 3\nmaximum = 8\n[sandbox]\nshow = "+m.work+"\n")
			if served {
				m.serving(t)
				slices.Reverse(m.env) // what stands last counts
				answering(t, m.socketOf(t))
				slices.Reverse(m.env)
			}
			// the oldest of those that stand ready, once there are so many: it is they that are
			// given
			ready := func(n int) (ids []string) {
				t.Helper()
				if !served {
					m.must("fill", "boxes")
				}
				until(t, "three are ready", func() bool {
					ids = nil
					for line := range strings.Lines(m.must("status", "-v", "boxes")) {
						if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "boxes-") && f[1] == "ready" {
							ids = append(ids, f[0])
						}
					}
					return len(ids) >= 3
				})
				slices.SortFunc(ids, func(x, y string) int { return cmp.Or(len(x)-len(y), strings.Compare(x, y)) })
				return ids[:n]
			}
			told := func(id, errs string) {
				t.Helper()
				if !strings.Contains(errs, id+" has ended (the sandbox has ended: ") {
					t.Errorf("of %s is said %q", id, errs)
				}
				if got := m.must("events", id); !strings.Contains(got, "released") ||
					!strings.Contains(got, "its computer has ended: the sandbox has ended: ") {
					t.Errorf("events of %s: %s", id, got)
				}
			}
			out, errs, exit := "", "", 0
			for n, args := range [][]string{
				{"run", "boxes", "--wait", "0", "--", "echo", "it ran"},
				{"run", "boxes", "--on", "2", "--", "echo", "it ran"},
			} {
				dead := ready(2)
				for _, id := range dead {
					endSandbox(t, m, id)
				}
				out, errs, exit = m.run(args...)
				if exit != 0 || strings.Count(out, "it ran") != n+1 {
					t.Fatalf("%q: exit status %d, %q %q", args, exit, out, errs)
				}
				for _, id := range dead {
					told(id, errs)
				}
			}
			dead := ready(3)
			for _, id := range dead {
				endSandbox(t, m, id)
			}
			if out, errs, exit = m.run("run", "boxes", "--", "echo", "it ran"); exit != term.ExitNotBegun ||
				!strings.Contains(errs, dead[2]+": the sandbox has ended") {
				t.Errorf("of three that have ended, %v: exit status %d, %q %q\n%s", dead, exit, out, errs, m.must("events"))
			}
			if got := m.must("status", "boxes", "--query", "in-use"); got != "0\n" {
				t.Errorf("in use are %q afterwards", got)
			}
			mine := strings.TrimSpace(m.must("acquire", "-s", "boxes"))
			endSandbox(t, m, mine)
			if out, errs, exit = m.run("run", mine, "--", "echo", "it ran"); exit != term.ExitNotBegun || out != "" ||
				strings.Contains(errs, "another is taken") {
				t.Errorf("by name: exit status %d, %q %q", exit, out, errs)
			}
			m.must("release", mine)
		})
	}
}
