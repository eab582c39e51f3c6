//go:build linux

package gittree_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/gittree"
)

// TestTop: the working tree is what git of the caller's own says. What somebody else put
// there, or what is no repository, shows nothing beside the directory, and what cannot be read is
// not waited for.
func TestTop(t *testing.T) {
	home := t.TempDir()
	plant := func(path string, what func(git string) error) string {
		t.Helper()
		dir := filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Join(dir, "src/deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if what != nil {
			if err := what(filepath.Join(dir, ".git")); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	repository := func(git string) error {
		if err := os.Mkdir(git, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(git, "HEAD"), []byte("ref: refs/heads/main\n"), 0o600)
	}
	for _, c := range []struct {
		what  string
		tree  string
		whole bool // the top is found from below
	}{
		{"a repository", plant("repository", repository), true},
		{"a worktree", plant("worktree", func(git string) error {
			return os.WriteFile(git, []byte("gitdir: /elsewhere/.git/worktrees/x\n"), 0o600)
		}), true},
		{"an empty directory", plant("empty", func(git string) error { return os.Mkdir(git, 0o700) }), false},
		{"a file that says nothing", plant("file", func(git string) error { return os.WriteFile(git, []byte("x"), 0o600) }), false},
		{"a pipe", plant("pipe", func(git string) error { return unix.Mkfifo(git, 0o600) }), false},
		{"a device", plant("device", func(git string) error { return os.Symlink("/dev/zero", git) }), false},
		{"a directory for everybody", plant("open", func(git string) error {
			if err := repository(git); err != nil {
				return err
			}
			return os.Chmod(filepath.Dir(git), 0o777)
		}), false},
	} {
		want := filepath.Join(c.tree, "src/deep")
		if c.whole {
			want = c.tree
		}
		got := inTime(func() string { return gittree.Top(filepath.Join(c.tree, "src/deep"), "/nowhere") })
		if got != want {
			t.Errorf("%s: %q, want the tree %s", c.what, got, want)
		}
	}
}

// inTime gives up after a while.
func inTime(f func() string) string {
	done := make(chan string, 1)
	go func() { done <- f() }()
	select {
	case s := <-done:
		return s
	case <-time.After(10 * time.Second):
		return "it does not end"
	}
}
