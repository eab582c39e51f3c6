package scan_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

func TestGitTree(t *testing.T) {
	l := newRepo(t)
	l.write("a", "dist/built", "out/kept", "sub/b", "gone")
	l.put(".gitignore", "dist/\nout/\n*.o\n")
	l.git("add", "-f", ".gitignore", "a", "dist/built", "out/kept", "sub/b", "gone")
	l.write("x.o", "out/not", "new", "sub/new", ".hostler/jobs/a.conf", "dist/not")
	l.must(os.Remove(l.path("gone")))
	tree := l.want(".gitignore a dist/built out/kept sub/b new sub/new")
	if !tree.Git || tree.Root != l.dir || tree.Sub != "" || len(tree.Hidden) != 0 {
		t.Errorf(`tree = %+v; want tree.Git and tree.Root == l.dir and tree.Sub == "" and len(tree.Hidden) == 0`, tree)
	}
	l.git("add", "-A", "-f", ".hostler", "sub/new")
	l.want(".gitignore a dist/built out/kept sub/b new sub/new")

	t.Run("from below", func(t *testing.T) {
		l.opt.Dir = l.path("sub")
		defer func() { l.opt.Dir = l.dir }()
		if tree := l.want(".gitignore a dist/built out/kept sub/b new sub/new"); tree.Sub != "sub" {
			t.Errorf("in %q", tree.Sub)
		}
		l.opt.Root = "."
		defer func() { l.opt.Root = "" }()
		if tree := l.want("b new"); tree.Root != l.path("sub") || tree.Sub != "" || !tree.Git {
			t.Errorf(`tree = %+v; want tree.Root == l.path("sub") and tree.Sub == "" and tree.Git`, tree)
		}
	})
	t.Run("through a link", func(t *testing.T) {
		link := filepath.Join(filepath.Dir(l.dir), "link")
		l.must(os.Symlink(l.path("sub"), link))
		l.opt.Dir = link
		defer func() { l.opt.Dir = l.dir }()
		if tree := l.scan(); tree.Root != l.dir || tree.Sub != "sub" {
			t.Errorf(`tree.Root = %s, tree.Sub = %q; want tree.Root == l.dir and tree.Sub == "sub"`, tree.Root, tree.Sub)
		}
	})
	t.Run("as a plain directory", func(t *testing.T) {
		l.opt.Plain = true
		defer func() { l.opt.Plain = false }()
		l.want(".gitignore a dist/built dist/not out/kept out/not sub/b new sub/new x.o")
	})
}

// Directories come and go where files and links were.
func TestGitKindsChange(t *testing.T) {
	l := newRepo(t)
	l.write("file", "dir/a", "link", "dir2/b/c")
	l.git("add", "-A")
	l.git("commit", "-qm", "x")
	l.want("file dir/a link dir2/b/c")
	for _, name := range []string{"file", "dir", "link", "dir2"} {
		l.must(os.RemoveAll(l.path(name)))
	}
	l.write("file/now/a", "dir", "elsewhere/b/c")
	l.must(os.Symlink("nowhere", l.path("link")))
	// the files that git tracks below it seem to be there, by way of the link
	l.must(os.Symlink("elsewhere", l.path("dir2")))
	l.want("file/now/a dir link@ dir2@ elsewhere/b/c")
	l.must(os.Remove(l.path("link")))
	l.must(os.Mkdir(l.path("link"), 0o755))
	l.want("file/now/a dir dir2@ elsewhere/b/c")
}

func TestGitModes(t *testing.T) {
	l := newRepo(t)
	l.write("a", "b", "c", "d")
	for name, mode := range map[string]os.FileMode{"a": 0o600, "b": 0o700, "c": 0o644 | os.ModeSetuid, "d": 0o655} {
		l.must(os.Chmod(l.path(name), mode))
	}
	for full, modes := range map[bool][]uint32{false: {0o644, 0o755, 0o644, 0o644}, true: {0o600, 0o700, 0o644, 0o655}} {
		l.opt.FullModes = full
		tree := l.scan()
		for i, name := range []string{"a", "b", "c", "d"} {
			if got := l.entry(tree, name).Mode; got != modes[i] {
				t.Errorf("%s: mode %#o and not %#o (full: %v)", name, got, modes[i], full)
			}
		}
	}
	l.opt.FullModes = false
	before := l.scan().ID
	l.must(os.Chmod(l.path("a"), 0o744))
	if l.scan().ID == before {
		t.Error("the x bit alone makes no other tree")
	}
	l.must(os.Chmod(l.path("a"), 0o600))
	if l.scan().ID != before {
		t.Error("with the x bit off again it is not the tree that it was")
	}
}

// Whatever form the index has, the paths are those that git says.
func TestGitIndexForms(t *testing.T) {
	for name, steps := range map[string][][]string{
		"version 2":      {{"update-index", "--index-version", "2"}},
		"version 3":      {{"add", "-N", "."}},
		"version 4":      {{"update-index", "--index-version", "4"}},
		"split":          {{"update-index", "--split-index"}},
		"untracked":      {{"update-index", "--force-untracked-cache"}},
		"many threads":   {{"config", "index.threads", "4"}, {"update-index", "--force-write-index"}},
		"without a hash": {{"config", "index.skipHash", "true"}, {"update-index", "--force-write-index"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRepo(t)
			l.write(
				"a", "a-b", "a.b/c", "a/../d/"+strings.Repeat("deep/", 20)+strings.Repeat("n", 255), "d/e", "f g",
				"\xff\xfe", "\n", "-v", "ä/ö", "later",
			)
			l.git("add", "a", "a-b", "d", "f g", ":/ä", "-v", "\n", "\xff\xfe")
			for _, words := range steps {
				l.git(words...)
			}
			l.write("and", "d/this")
			words := strings.Split(strings.TrimSuffix(l.git("ls-files", "-co", "-z"), "\x00"), "\x00")
			slices.Sort(words)
			if got := paths(l.scan()); !slices.Equal(got, slices.Compact(words)) {
				t.Errorf("%q, and git says %q", got, words)
			}
		})
	}
	t.Run("sha256", func(t *testing.T) {
		l := newRepo(t)
		l.must(os.RemoveAll(l.path(".git")))
		l.git("init", "-q", "--object-format=sha256")
		l.write("a", "b/c")
		l.git("add", "a")
		l.want("a b/c")
	})
	t.Run("no index", func(t *testing.T) {
		l := newRepo(t)
		l.write("a", "b/c")
		l.want("a b/c")
	})
	t.Run("broken", func(t *testing.T) {
		l := newRepo(t)
		l.write("a")
		l.git("add", "a")
		l.must(os.WriteFile(
			l.path(".git/index"),
			[]byte("DIRC\x00\x00\x00\x02\x00\x00\x10\x00 and then nothing that anybody could read"), 0o644,
		))
		_, err := scan.Scan(t.Context(), l.opt)
		if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "git in ") {
			t.Error(err)
		}
	})
	t.Run("unmerged", func(t *testing.T) {
		l := newRepo(t)
		l.write("a")
		l.git("add", "-A")
		l.git("commit", "-qm", "a")
		l.git("checkout", "-qb", "other")
		l.put("a", "other")
		l.git("commit", "-qam", "b")
		l.git("checkout", "-q", "main")
		l.put("a", "main")
		l.git("commit", "-qam", "c")
		l.git("symbolic-ref", "HEAD") // not detached
		l.put("b", "b")
		l.git("read-tree", "-m", "--aggressive", "main~1", "main", "other")
		if n := strings.Count(l.git("ls-files", "-s", "a"), "\n"); n < 2 {
			t.Fatalf("git has no conflict here, but %d sides", n)
		}
		l.want("a b")
	})
}

func TestGitSparse(t *testing.T) {
	for name, words := range map[string][]string{
		"cone":         {"sparse-checkout", "set", "--cone", "in"},
		"sparse index": {"sparse-checkout", "set", "--cone", "--sparse-index", "in"},
		"patterns":     {"sparse-checkout", "set", "--no-cone", "/in/", "/top"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRepo(t)
			l.write("top", "in/a", "out/b", "out/c/d")
			l.git("add", "-A")
			l.git("commit", "-qm", "x")
			l.git(words...)
			l.write("in/new", "out/b") // one of those that git hides was made all the same
			tree := l.want("top in/a in/new out/b")
			if !slices.Equal(tree.Hidden, []string{"out/c/d"}) {
				t.Errorf("hidden: %q", tree.Hidden)
			}
		})
	}
	t.Run("skip-worktree", func(t *testing.T) {
		l := newRepo(t)
		l.write("a", "b", "c")
		l.git("add", "-A")
		l.git("update-index", "--skip-worktree", "a", "b")
		l.must(os.Remove(l.path("a")))
		l.must(os.Remove(l.path("c")))
		if tree := l.want("b"); !slices.Equal(tree.Hidden, []string{"a"}) {
			t.Errorf("hidden: %q", tree.Hidden)
		}
	})
}

func TestGitSubmodules(t *testing.T) {
	l := newRepo(t)
	l.write("lib/x", "lib/y.o", "a")
	l.gitIn("lib", "init", "-q")
	l.put("lib/.gitignore", "*.o")
	l.gitIn("lib", "add", "-A")
	l.gitIn("lib", "commit", "-qm", "x")
	l.must(os.Rename(l.path("lib"), l.dir+"-lib"))
	l.git("submodule", "--quiet", "add", l.dir+"-lib", "deep/lib")
	l.git("submodule", "--quiet", "add", l.dir+"-lib", "other")
	l.git("add", "-A")
	l.git("commit", "-qm", "y")
	l.git("submodule", "--quiet", "deinit", "-f", "other")
	l.write("deep/lib/new", "deep/lib/z.o", "deep/lib/.hostler/x")
	const all = "a .gitmodules deep/lib/x deep/lib/.gitignore deep/lib/new other/"
	l.want(all)

	t.Run("split", func(t *testing.T) { // the same where git has to be asked for all
		l.git("update-index", "--split-index")
		l.want(all)
		l.git("update-index", "--no-split-index")
	})
	t.Run("a repository that is none of its submodules", func(t *testing.T) {
		l.write("nested/c", "nested/d.o")
		l.gitIn("nested", "init", "-q")
		l.gitIn("nested", "add", "c")
		l.gitIn("nested", "commit", "-qm", "z")
		l.want(all + " nested/c nested/d.o")
	})
	t.Run("taken out", func(t *testing.T) {
		l.put(".hostlerignore", "/deep\nother\nnested/d.o\n.hostlerignore\n")
		l.want("a .gitmodules nested/c")
	})
}

func TestGitWorktree(t *testing.T) {
	l := newRepo(t)
	l.write("a", "sub/b")
	l.git("add", "-A")
	l.git("commit", "-qm", "x")
	l.git("worktree", "add", "-q", "--detach", l.dir+"-2")
	l.write("not there")
	l.dir += "-2"
	l.opt.Dir = l.dir
	l.write("new", "sub/new")
	l.must(os.Remove(l.path("a")))
	l.want("sub/b new sub/new")
}

// A file of LFS is what it is on disk: its contents or its pointer.
func TestGitLFS(t *testing.T) {
	l := newRepo(t)
	const pointer = "version https://git-lfs.github.com/spec/v1\noid " +
		"sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	l.put("pointer", pointer)
	l.put("smudged", pointer)
	l.put(".gitattributes", "smudged filter=lfs\npointer filter=lfs\n")
	l.git("-c", "filter.lfs.clean=cat", "add", "-A")
	l.put("smudged", "its contents")
	// Whatever the filter would be, nobody runs it.
	l.git("config", "filter.lfs.clean", "touch "+l.path("ran"))
	l.git("config", "filter.lfs.process", "touch "+l.path("ran"))
	l.git("config", "filter.lfs.required", "true")
	tree := l.want(".gitattributes pointer smudged")
	if got := l.entry(tree, "pointer").Size; got != int64(len(pointer)) {
		t.Errorf("%d bytes", got)
	}
}

// What the caller's environment says of repositories is of others.
func TestGitEnvironment(t *testing.T) {
	other := newRepo(t)
	other.write("wrong", "tree")
	other.git("add", "-A")
	l := newRepo(t)
	l.write("a", "b")
	l.git("add", "a")
	t.Setenv("GIT_DIR", other.path(".git"))
	t.Setenv("GIT_WORK_TREE", other.dir)
	t.Setenv("GIT_INDEX_FILE", other.path(".git/index"))
	t.Setenv("GIT_PREFIX", "x/")
	t.Setenv("GIT_LITERAL_PATHSPECS", "0")
	t.Setenv("GIT_CEILING_DIRECTORIES", "/")
	t.Setenv("GIT_TRACE", "1")
	l.want("a b")
	if left := scan.GitEnviron([]string{
		"GIT_DIR=x", "GIT_CONFIG_GLOBAL=y", "GIT_CONFIG_PARAMETERS=z", "A=b",
	}); !slices.Contains(left, "GIT_CONFIG_GLOBAL=y") ||
		!slices.Contains(left, "A=b") || slices.Contains(left, "GIT_DIR=x") || slices.Contains(left, "GIT_CONFIG_PARAMETERS=z") {
		t.Errorf(
			"left = %q"+
				`; want left with "GIT_CONFIG_GLOBAL=y" and left with "A=b" and left without "GIT_DIR=x" `+
				`and left without "GIT_CONFIG_PARAMETERS=z"`,
			left,
		)
	}
}

// A repository that came from elsewhere has settings of its own. To list it runs none of the
// programs that they name.
func TestGitRunsNothing(t *testing.T) {
	for _, form := range []string{"--no-split-index", "--split-index"} {
		t.Run(form, func(t *testing.T) { testGitRunsNothing(t, form) })
	}
}

func testGitRunsNothing(t *testing.T, form string) {
	l := newRepo(t)
	l.write("a", "sub/b")
	l.git("add", "-A")
	l.git("commit", "-qm", "x")
	l.git("update-index", form)
	ran := filepath.Join(filepath.Dir(l.dir), "ran")
	program := filepath.Join(filepath.Dir(l.dir), "program")
	l.must(os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $*\" >>"+ran+"\n"), 0o755))
	l.must(os.MkdirAll(l.path(".git/own-hooks"), 0o755))
	for _, hook := range []string{"post-index-change", "fsmonitor-watchman", "query-watchman"} {
		l.must(os.Symlink(program, l.path(".git/own-hooks/"+hook)))
	}
	for _, kv := range [][2]string{
		{"core.fsmonitor", program}, {"core.hooksPath", l.path(".git/own-hooks")}, {"core.pager", program}, {"core.editor", program},
		{"core.sshCommand", program}, {"credential.helper", program}, {"alias.ls-files", "!" + program}, {"pager.ls-files", program},
		{"remote.origin.url", "ssh://nowhere/x"}, {"remote.origin.promisor", "true"}, {"remote.origin.uploadpack", program},
		{"filter.f.clean", program}, {"filter.f.process", program}, {"gpg.program", program}, {"core.gitProxy", program},
		{"uploadpack.packObjectsHook", program},
	} {
		l.git("config", kv[0], kv[1])
	}
	l.must(os.WriteFile(l.path(".git/info/attributes"), []byte("* filter=f\n"), 0o644))
	l.put("a", "changed")
	l.write("new")
	l.want("a sub/b new")
	if text, err := os.ReadFile(ran); err == nil {
		t.Errorf("ran %s", text)
	}
}

// A tree of another user's, which git does not trust: git's answer is told, with what to do.
func TestGitOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a tree to another user")
	}
	l := newRepo(t)
	l.write("a")
	l.git("add", "-A")
	l.must(filepath.WalkDir(l.dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, 12345, 12345))
	}))
	_, err := scan.Scan(t.Context(), l.opt)
	if !errors.Is(err, compute.ErrDenied) || !strings.Contains(compute.Hint(err), "safe.directory "+l.dir) {
		t.Errorf(
			"err = %v (compute.Hint(err) = %s)"+
				`; want error compute.ErrDenied and compute.Hint(err) with "safe.directory " + l.dir`,
			err, compute.Hint(err),
		)
	}
	l.git("config", "--global", "--add", "safe.directory", l.dir)
	l.want("a")
}

// Somebody adds a file between our reading of the index and git's listing of what is not in it: it
// is there all the same.
func TestGitIndexWrittenMeanwhile(t *testing.T) {
	l := newRepo(t)
	l.write("a", "b", "c")
	l.git("add", "a")
	n := 0
	l.opt = l.opt.WhenListed(func() {
		if n++; n == 1 {
			l.git("add", "b")
		}
	})
	l.want("a b c")
	if n < 2 {
		t.Errorf("the index was looked at %d times", n)
	}
}
