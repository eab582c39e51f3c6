package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shownRoot tells the tests of another user which place root made for them.
const shownRoot = "HOSTLER_TEST_SHOWN"

// shownDir makes a directory that sandboxes of this machine's root show and others may enter: /tmp, where tests have theirs, begins empty in them.
func shownDir(t testing.TB) string {
	t.Helper()
	root := os.Getenv(shownRoot)
	if root == "" {
		var err error
		if root, err = filepath.Abs("../../bin"); err != nil {
			t.Fatal(err)
		}
	}
	for _, empty := range []string{"/tmp/", "/var/tmp/", "/run/", "/dev/"} {
		if strings.HasPrefix(root, empty) {
			t.Skipf("sandbox: this tree is in %s, which begins empty in sandboxes", empty)
		}
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Skipf("sandbox: no place that they show: %v", err)
	}
	dir, err := os.MkdirTemp(root, "test-")
	if err != nil {
		t.Skipf("sandbox: no place that they show: %v", err)
	}
	t.Cleanup(func() {
		if err := removeAll(dir); err != nil {
			t.Errorf("what is left: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// removeAll is os.RemoveAll for trees with directories that their owner may not write.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// shownMachine is one whose user is in a directory of his home that sandboxes show.
func shownMachine(t testing.TB) *machine {
	t.Helper()
	m := newMachine(t) // its sockets stay in /tmp: they have short names
	m.home = filepath.Join(shownDir(t), "you")
	m.work = filepath.Join(m.home, "project")
	if err := os.MkdirAll(m.work, 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "HOME="+m.home, "PATH="+plainPath(t))
	return m
}

// sandboxes skips the test by name where none can be made, with what hostler says.
func sandboxes(t testing.TB) {
	t.Helper()
	m := shownMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	if _, errs, exit := m.run("run", "sandbox", "--", "true"); exit != 0 {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("sandbox: required: %s", errs)
		}
		t.Skipf("sandbox: none here: %s", strings.SplitN(errs, "\n", 2)[0])
	}
}
