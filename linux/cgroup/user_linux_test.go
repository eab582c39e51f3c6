package cgroup_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/cgroup"
)

const someone = 12345

var limitsOfUser = cgroup.Limits{Memory: 900 << 20, CPU: 2, PIDs: 500}

// asUser runs a child as an ordinary user.
func asUser(t *testing.T, start func(f func() error) error, fd int, mode string, args ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostler-cgroup") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "child")
	copyFile(t, "/proc/self/exe", exe)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOSTLER_CGROUP_EXE", exe)
	cmd := command(mode, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: someone, Gid: someone}, UseCgroupFD: fd >= 0, CgroupFD: max(fd, 0),
	}
	if err := start(cmd.Start); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return out.String()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("cgroup: needs root to be another user")
	}
}

// Without anything delegated: reasons, in words that say which directory and whom.
func TestOrdinaryUser(t *testing.T) {
	root(t)
	tree(t)
	out := asUser(t, func(f func() error) error { return f() }, -1, "look", "hostler-test-nobody")
	for _, want := range []string{"cpu: /sys/fs/cgroup", "permission denied: not delegated to uid 12345", "error: cgroup.Make: one: unavailable: " +
		"memory cannot be limited here"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// What root gives to a user is found by him, from inside of it, and works.
func TestDelegatedToUser(t *testing.T) {
	root(t)
	tr := tree(t)
	g := group(t, tr, limitsOfUser)
	for _, dir := range g.Dirs() {
		for _, file := range []string{"", "/cgroup.procs", "/tasks", "/cgroup.subtree_control", "/cgroup.threads"} {
			if err := os.Chown(dir+file, someone, someone); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	out := asUser(t, g.Start, g.FD(), "look", "of-a-user")
	for _, want := range []string{"memory: <nil>", "gather: <nil>", "/one/of-a-user/one", "ran: signal: killed", "killed: 1 <nil>"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "error") {
		t.Error(out)
	}
}

// Version 2 with a controller: it is enabled on the way down; and where a user's own group holds
// himself, that is emptied first.
func TestVersion2Controllers(t *testing.T) {
	root(t)
	if tr, err := cgroup.Find("x"); err == nil && len(tr.Only(2).Parents()) > 0 {
		control := filepath.Dir(tr.Only(2).Parents()[0]) + "/cgroup.subtree_control"
		before, _ := os.ReadFile(control)
		t.Cleanup(func() {
			if !strings.Contains(string(before), "hugetlb") {
				// refused if others use it meanwhile
				_ = os.WriteFile(control, []byte("-hugetlb"), 0)
			}
		})
	}
	tr := tree(t).Only(2)
	if len(tr.Parents()) == 0 {
		t.Skip("cgroup: no version 2 here")
	}
	g, err := tr.MakeWith("hugetlb", "one", "hugetlb.2MB.max", "4194304")
	if err != nil {
		t.Skipf("cgroup: no controller of version 2 to try: %v", err)
	}
	defer g.Close()
	dir := g.Dirs()[0]
	if b, err := os.ReadFile(dir + "/hugetlb.2MB.max"); string(b) != "4194304\n" {
		t.Errorf("limit = %q, %v", b, err)
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	// A group of the user's, with the controller, that he is in.
	home := filepath.Dir(dir) + "/home"
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"} {
		if err := os.Chown(home+file, someone, someone); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(home, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	out := asUser(t, func(f func() error) error { return f() }, fd, "vacate", "mine")
	if !strings.Contains(out, "limit: 4194304\n") || !strings.Contains(out, "/home/mine.others\n") || strings.Contains(out, "error") {
		t.Errorf("in a group of his own:\n%s", out)
	}
	h, err := tr.Open("home")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}
