//go:build linux

package sshhost_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// TestNoPrograms takes a tree to a host whose user's cache is on a file system that runs no
// programs, and to one where no place runs any.
func TestNoPrograms(t *testing.T) {
	kv := lab(t)
	mount := func(words ...string) {
		t.Helper()
		if out, err := exec.Command(
			"nsenter", append([]string{"-t", kv["pid2"], "-m", "-p", "-r"}, words...)...,
		).CombinedOutput(); err != nil {
			t.Fatalf("%q: err = %v: out = %s; want no error", words, err, out)
		}
	}
	noexec := func(dir string) {
		t.Helper()
		mount("mkdir", "-p", dir)
		mount("mount", "-t", "tmpfs", "-o", "noexec,mode=1777", "tmpfs", dir)
		t.Cleanup(func() { mount("umount", "-l", dir) })
	}
	find := guestSide(t)
	p := open(
		t,
		sshhost.Options{
			Installation: t.Name(), Hosts: []string{"lab2"}, ConfigFile: kv["ssh_config"],
			Dir: filepath.Join(t.TempDir(), "own"), Agent: find,
		},
	)
	sync := func() error {
		t.Helper()
		conn, err := p.Connect(t.Context(), "suite-lab2")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s, err := send.Begin(t.Context(), conn, send.Options{Key: "w", Who: "the test"})
		if err != nil {
			return err
		}
		defer s.Close()
		tree, err := scan.Scan(t.Context(), scan.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Sync(t.Context(), tree)
		return err
	}
	noexec("/root/.cache")
	for range 2 { // where it is put, and where it is found
		if err := sync(); err != nil {
			t.Fatal(err)
		}
	}
	if all, _ := filepath.Glob(filepath.Join(kv["root2"], "var/tmp/hostler-0/agents/*/hostler-agent")); len(all) == 0 {
		t.Error("the agent is not in the place that was left to it")
	}
	noexec("/var/tmp")
	noexec("/tmp")
	noexec("/dev/shm")
	if err := sync(); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "noexec") {
		t.Errorf("where no place runs programs: %v", err)
	}
}

// TestOldAgents puts the agent where many others lie: the last ones stay, and what is none of ours.
func TestOldAgents(t *testing.T) {
	kv := lab(t)
	agents := filepath.Join(kv["root2"], "root/.cache/hostler/agents")
	if err := os.RemoveAll(agents); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-24 * time.Hour)
	for i, name := range []string{"a1", "b2", "c3", "d4", "e5", "f6", "not ours"} {
		dir := filepath.Join(agents, name)
		at := then.Add(time.Duration(i) * time.Hour)
		if name == "not ours" {
			at = then.Add(-time.Hour)
		}
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "in"), 0o755), os.Chtimes(dir, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	p := open(
		t,
		sshhost.Options{
			Installation: t.Name(), Hosts: []string{"lab2"}, ConfigFile: kv["ssh_config"],
			Dir: filepath.Join(t.TempDir(), "own"), Agent: guestSide(t),
		},
	)
	conn, err := p.Connect(t.Context(), "suite-lab2")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := send.Begin(t.Context(), conn, send.Options{Key: "w", Who: "the test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := os.ReadDir(agents)
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for _, e := range all {
		if len(e.Name()) != 64 {
			old = append(old, e.Name())
		}
	}
	s.Close()
	conn.Close()
	// what it keeps there is no business of other tests
	if _, err := p.Clean(t.Context(), "suite-lab2"); err != nil {
		t.Error(err)
	}
	if want := "d4 e5 f6 not ours"; strings.Join(old, " ") != want || len(all) != 5 {
		t.Errorf("there are %d, of the others %q, want %q", len(all), old, want)
	}
}
