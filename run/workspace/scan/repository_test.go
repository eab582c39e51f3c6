package scan_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// copied is a land as it would be on the far side, with a repository made for it.
func (l *land) copied(how scan.History) (far *land, tree *scan.Tree) {
	l.Helper()
	tree = l.scan()
	dir := l.TempDir()
	made, err := scan.Repository(l.Context(), tree, how, dir)
	l.must(err)
	local := map[string]bool{}
	for _, e := range tree.Entries {
		local[e.Path] = true
	}
	l.must(tree.Add(made))
	far = &land{T: l.T, dir: filepath.Join(l.TempDir(), "far")}
	for _, e := range tree.Entries {
		l.must(os.MkdirAll(filepath.Dir(far.path(e.Path)), 0o755))
		switch e.Kind {
		case scan.Dir:
			l.must(os.MkdirAll(far.path(e.Path), 0o755))
		case scan.Link:
			l.must(os.Symlink(e.Target, far.path(e.Path)))
		case scan.File:
			from := l.path(e.Path)
			if !local[e.Path] {
				from = filepath.Join(dir, strings.TrimPrefix(e.Path, ".git/"))
			}
			text, err := os.ReadFile(from)
			l.must(err)
			l.must(os.WriteFile(far.path(e.Path), text, fs.FileMode(e.Mode)))
		}
	}
	return far, tree
}

func TestRepository(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) { testRepository(t, format) })
	}
}

func testRepository(t *testing.T, format string) {
	l := newRepo(t)
	l.must(os.RemoveAll(l.path(".git")))
	l.git("init", "-q", "-b", "main", "--object-format="+format)
	if tree := l.scan(); true {
		if _, err := scan.Repository(t.Context(), tree, scan.HeadOnly, t.TempDir()); !errors.Is(err, compute.ErrInvalid) ||
			compute.Hint(err) == "" {
			t.Errorf("without a commit: %v", err)
		}
	}
	l.write("a", "sub/b", "gone", "x")
	l.git("add", "-A")
	l.git("commit", "-qm", "one")
	l.git("update-ref", "refs/remotes/origin/main", "HEAD")
	l.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
	l.git("remote", "add", "origin", "https://user:secret@example.org/x")
	l.git("checkout", "-qb", "work")
	for _, text := range []string{"two", "three"} {
		l.put("a", text)
		l.git("commit", "-qam", text)
	}
	l.git("tag", "-a", "-m", "a tag", "v1")
	l.put("sub/b", "staged")
	l.git("add", "sub/b")
	l.put("sub/b", "and more")
	l.write("new")
	l.must(os.Remove(l.path("gone")))
	l.git("rm", "-q", "--cached", "x")

	for how, commits := range map[scan.History]string{scan.HeadOnly: "three\n", scan.FullHistory: "three\ntwo\none\n"} {
		far, tree := l.copied(how)
		for _, words := range []string{
			"status --porcelain=v1 -b", "rev-parse HEAD", "rev-parse origin/main", "diff --cached", "diff",
			"ls-files -s", "symbolic-ref HEAD",
		} {
			if diff := cmp.Diff(l.git(strings.Fields(words)...), far.git(strings.Fields(words)...)); diff != "" {
				t.Errorf("%s: git %s says there\n%s", how, words, diff)
			}
		}
		if got := far.git("log", "--format=%s"); got != commits {
			t.Errorf("%s: got = %q; want got == commits", how, got)
		}
		far.git("fsck", "--strict", "--full")
		if tags := far.git("tag"); (tags == "v1\n") != (how == scan.FullHistory) {
			t.Errorf("%s: tags %q", how, tags)
		}
		l.must(filepath.WalkDir(far.path(".git"), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var text []byte
				if text, err = os.ReadFile(path); strings.Contains(string(text), "secret") {
					t.Errorf("%s: a password in %s", how, path)
				}
			}
			return err
		}))
		if _, again := l.copied(how); again.ID != tree.ID {
			t.Errorf("%s: made again it is another", how)
		}
	}
	for _, opt := range []scan.Options{{Dir: l.dir, Home: l.opt.Home, Plain: true}, {Dir: l.dir, Home: l.opt.Home, Root: "sub"}} {
		tree, err := scan.Scan(t.Context(), opt)
		l.must(err)
		if _, err := scan.Repository(t.Context(), tree, scan.HeadOnly, t.TempDir()); !errors.Is(err, compute.ErrInvalid) {
			t.Error(err)
		}
	}
}

// A repository without all of its history, a detached head, a submodule, a link and a linked work
// tree.
func TestRepositoryOfOtherForms(t *testing.T) {
	l := newRepo(t)
	l.write("a")
	l.git("add", "-A")
	for _, text := range []string{"one", "two", "three"} {
		l.put("a", text)
		l.git("commit", "-qam", text)
	}
	l.git("clone", "-q", "--depth", "2", "file://"+l.dir, l.dir+"-shallow")
	l.git("submodule", "--quiet", "add", l.dir, "lib")
	l.must(os.Symlink("a", l.path("link")))
	l.git("add", "-A")
	l.git("commit", "-qm", "four")
	l.git("worktree", "add", "-q", "--detach", l.dir+"-linked")
	for _, c := range []struct{ dir, head, full string }{
		{l.dir + "-shallow", "three\n", "three\ntwo\n"}, {l.dir + "-linked", "four\n", "four\nthree\ntwo\none\n"},
	} {
		l.dir, l.opt.Dir = c.dir, c.dir
		for how, commits := range map[scan.History]string{scan.HeadOnly: c.head, scan.FullHistory: c.full} {
			far, _ := l.copied(how)
			if got := far.git("log", "--format=%s"); got != commits {
				t.Errorf("%s of %s: %q", how, c.dir, got)
			}
			if got, want := far.git("status", "--porcelain"), l.git("status", "--porcelain"); got != want {
				t.Errorf("%s of %s: status %q and not %q", how, c.dir, got, want)
			}
			far.git("fsck", "--strict")
		}
	}
}
