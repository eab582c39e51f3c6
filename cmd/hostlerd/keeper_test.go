package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/host/keeper"
)

// TestKeepersPlace starts the keeper from within a run, whose directory and configuration go away:
// it is no part of the run, and goes on.
func TestKeepersPlace(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("TestKeepersPlace: no /proc")
	}
	m := newMachine(t)
	m.source("web", "type = fake\nreserve = 1\n")
	discard := filepath.Join(m.dir, "home", ".config", "hostler", "sources", "web", "release.d")
	if err := os.MkdirAll(discard, 0o755); err != nil {
		t.Fatal(err)
	}
	extra := filepath.Join(m.dir, "work", "extra")
	tree := filepath.Join(m.dir, "work", "tree")
	for _, dir := range []string{extra, tree} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.must("--config", extra, "acquire", "-s", "web")
	// what is left is the keeper's
	m.must("--config", extra, "-C", tree, "run", "local", "--", "hostler", "--config", extra, "release", "web-1")
	var status struct{ PID int }
	until(t, "a keeper", func() bool {
		out, _, exit := m.run("keeper", "status", "--json")
		return exit == 0 && json.Unmarshal([]byte(out), &status) == nil && status.PID > 1
	})
	t.Cleanup(func() { _ = syscall.Kill(status.PID, syscall.SIGKILL) })
	proc := filepath.Join("/proc", strconv.Itoa(status.PID))
	environ, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	for kv := range strings.SplitSeq(string(environ), "\x00") {
		for _, name := range []string{"HOSTLER_INSTANCE_MARK=", "HOSTLER_LEASE=", "HOSTLER_INSTANCE=", "HOSTLER_RUN="} {
			if strings.HasPrefix(kv, name) {
				t.Errorf("it has %s", kv)
			}
		}
	}
	if dir, err := os.Readlink(filepath.Join(proc, "cwd")); err != nil || dir != "/" {
		t.Errorf("it is in %s: %v", dir, err)
	}
	until(t, "the cleaning", func() bool { return strings.Contains(m.must("status", "--query", "cached", "web"), "1") })
	if err := os.RemoveAll(extra); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	m.must("acquire", "-s", "web")
	m.must("release", "web-1")
	until(t, "the cleaning by the same keeper", func() bool { return strings.Contains(m.must("status", "--query", "cached", "web"), "1") })
	var again keeper.Status
	until(t, "the end of its work", func() bool {
		again = keeper.Status{}
		if err := json.Unmarshal([]byte(m.must("keeper", "status", "--json")), &again); err != nil {
			t.Fatal(err)
		}
		return !again.Busy
	})
	if again.PID != status.PID || again.Error != "" {
		t.Errorf("the keeper: %+v, was %+v", again, status)
	}
}
