package proc_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// TestMarkedInExec: a process that is about to become another program still has its mark.
func TestMarkedInExec(t *testing.T) {
	program := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec \"$0\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprintf("HOSTLER_TEST_MARK=%d/%s", os.Getpid(), t.Name())
	c := exec.Command(program)
	c.Env = []string{mark}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = c.Process.Kill(), c.Wait() }()
	is, missed := proc.Marked(mark), 0
	for range 5000 {
		if !is(c.Process.Pid) {
			missed++
		}
	}
	if missed > 0 {
		t.Errorf("%d times of 5,000 it had no mark", missed)
	}
	none := exec.Command("sleep", "60")
	none.Env = []string{} // none at all
	if err := none.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = none.Process.Kill(), none.Wait() }()
	if is(none.Process.Pid) || is(2) {
		t.Error("one without an environment has the mark")
	}
}

// TestFind finds those with a mark in their environment, and no others.
func TestFind(t *testing.T) {
	mark := fmt.Sprintf("HOSTLER_TEST_MARK=%d/%s", os.Getpid(), t.Name())
	var want []int
	for _, env := range [][]string{{mark}, {"A=1", mark, "B=2"}, {"LONG=" + strings.Repeat("x", 100<<10), mark}} {
		want = append(want, start(t, "", env...).Process.Pid)
	}
	for _, env := range []string{mark + "0", "X" + mark, "X=" + mark, strings.TrimSuffix(mark, "d"), "A=1"} {
		start(t, "", env)
	}
	marked := proc.Marked(mark)
	all, err := proc.Find(marked)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, h := range all {
		got = append(got, h.PID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %v, and it is %v", got, want)
	}
	proc.Wait(t.Context(), all, time.Millisecond)
	for _, h := range all {
		if h.Ended() {
			t.Errorf("%d has ended by itself", h.PID)
		}
		if err := h.Signal(unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	proc.Wait(t.Context(), all, time.Minute)
	for _, h := range all {
		if !h.Ended() {
			t.Errorf("%d does not end", h.PID)
		}
	}
	proc.Close(all)
	if all, err := proc.Find(marked); len(all) != 0 || err != nil { // they wait for us to take note
		t.Errorf("%d of those who have ended are found, %v", len(all), err)
	}
}

// TestFindTwice: who is no longer meant when it is open is left out.
func TestFindTwice(t *testing.T) {
	c := start(t, "")
	asked := 0
	all, err := proc.Find(func(pid int) bool {
		if pid != c.Process.Pid {
			return false
		}
		asked++
		return asked == 1
	})
	proc.Close(all)
	if err != nil || len(all) != 0 || asked != 2 {
		t.Errorf("%d found, asked %d times, %v", len(all), asked, err)
	}
}

// TestHolds looks through a small window at an entry in every place of an environment.
func TestHolds(t *testing.T) {
	const entry = "MARK=of/mine"
	for before := range 40 {
		for after := range 3 {
			env := strings.Repeat("a", before)
			if before > 0 {
				env += "\x00"
			}
			env += entry + strings.Repeat("\x00b=1", after)
			for _, end := range []string{"\x00", ""} {
				for window := len(entry) + 3; window < len(entry)+20; window++ {
					for how, r := range map[string]interface{ Read([]byte) (int, error) }{
						"at once": strings.NewReader(env + end), "byte by byte": iotest.OneByteReader(strings.NewReader(env + end)),
					} {
						interrupted := false
						read := func(b []byte) (int, error) {
							if interrupted = !interrupted; interrupted {
								return -1, unix.EINTR
							}
							n, _ := r.Read(b)
							return n, nil
						}
						if !proc.Holds(read, entry, window) {
							t.Fatalf("%q is not found in %q %s, through a window of %d", entry, env+end, how, window)
						}
					}
				}
			}
		}
	}
	for _, env := range []string{
		"", "\x00", entry + "x", "x" + entry, "A=" + entry, entry[1:], "x\x00" + entry + "x\x00",
		strings.Repeat("x"+entry, 9),
	} {
		r := bytes.NewReader([]byte(env))
		if proc.Holds(func(b []byte) (int, error) { n, _ := r.Read(b); return n, nil }, entry, len(entry)+5) {
			t.Errorf("%q is found in %q", entry, env)
		}
	}
	if proc.Holds(func([]byte) (int, error) { return 0, errors.New("closed") }, entry, 100) {
		t.Error("found in what cannot be read")
	}
}
