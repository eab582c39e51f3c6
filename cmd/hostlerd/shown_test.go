package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shownRoot tells the tests of another user which place root made for them.
const shownRoot = "HOSTLER_TEST_SHOWN"

// shownDir makes a directory that sandboxes of this machine's root show and others may enter: /tmp,
// where tests have theirs, begins empty in them.
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

// socketDir makes a directory for sockets, which have short names. In memory, where there is some:
// what hides secrets from sandboxes is in it as well then, and goes with it.
func socketDir() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "hostler"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "hostler")
}

// shownMachine is one whose user is in a directory of his home that sandboxes show.
func shownMachine(t testing.TB) *machine {
	t.Helper()
	home := filepath.Join(shownDir(t), "you")
	run, err := socketDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	m := newMachine(t)
	m.home, m.work = home, filepath.Join(home, "project")
	if err := os.MkdirAll(m.work, 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "HOME="+m.home, "PATH="+plainPath(t), "XDG_RUNTIME_DIR="+run)
	t.Cleanup(func() { discardAll(t, m.env) })
	return m
}

// discardAll ends what a script has left, also one that failed.
func discardAll(t testing.TB, env []string) {
	hostler := func(args ...string) string {
		cmd := exec.Command(lookIn(plainPath(t), "hostler"), args...)
		cmd.Env, cmd.Dir = env, "/"
		out, err := cmd.Output()
		if err != nil {
			t.Logf("hostler %q: %v", args, err)
		}
		return string(out)
	}
	hostler("release", "--all", "--wait")
	_, instances, _ := strings.Cut(hostler("status", "-v"), "\n\n")
	for line := range strings.Lines(instances) {
		if words := strings.Fields(line); len(words) > 1 && (words[1] == "ready" || words[1] == "failed") {
			hostler("discard", words[0])
		}
	}
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

// TestHintOfHome: a command that fails in the home itself, of which a sandbox shows no files, is
// told so; one that goes well, or that fails in a directory below it, is not.
func TestHintOfHome(t *testing.T) {
	sandboxes(t)
	m := shownMachine(t)
	for dir, command := range map[string]string{m.home: "cat note", m.work: "cat nothing", "": "true"} {
		work := m.work
		if m.work = dir; dir == "" {
			m.work = m.home
		}
		if err := os.WriteFile(filepath.Join(m.work, "note"), []byte("words"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, errs, _ := m.run("run", "sandbox", "-c", command)
		if got := strings.Contains(errs, "hint: a sandbox does not show what lies in your home itself"); got != (dir == m.home) {
			t.Errorf("%s in %s: %s", command, m.work, errs)
		}
		m.work = work
	}
}
