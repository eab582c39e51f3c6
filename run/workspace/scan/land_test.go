package scan_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// land is a directory to scan, and a home and a cache beside it.
type land struct {
	*testing.T
	dir string
	opt scan.Options
}

// newLand makes an empty one.
func newLand(t *testing.T) *land {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &land{T: t, dir: filepath.Join(base, "tree")}
	home := filepath.Join(base, "home")
	for _, d := range []string{l.dir, home} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.opt = scan.Options{Dir: l.dir, Home: home}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("GIT_AUTHOR_NAME", "a")
	t.Setenv("GIT_AUTHOR_EMAIL", "a@example.org")
	t.Setenv("GIT_COMMITTER_NAME", "a")
	t.Setenv("GIT_COMMITTER_EMAIL", "a@example.org")
	return l
}

// newRepo makes one that is a git work tree.
func newRepo(t *testing.T) *land {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	l := newLand(t)
	l.git("init", "-q", "-b", "main")
	return l
}

// git runs git in the tree, with words for an argument vector.
func (l *land) git(words ...string) string { l.Helper(); return l.gitIn("", words...) }

func (l *land) gitIn(dir string, words ...string) string {
	l.Helper()
	cmd := exec.Command("git", append([]string{"-c", "protocol.file.allow=always"}, words...)...)
	cmd.Dir = filepath.Join(l.dir, dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		l.Fatalf("git %v: %v: %s", words, err, errs.String())
	}
	return out.String()
}

func (l *land) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

// write makes files that hold their own names, with the directories above them.
func (l *land) write(names ...string) {
	l.Helper()
	for _, name := range names {
		l.put(name, name)
	}
}

func (l *land) put(name, text string) {
	l.Helper()
	if err := os.MkdirAll(filepath.Dir(l.path(name)), 0o755); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(l.path(name), []byte(text), 0o644); err != nil {
		l.Fatal(err)
	}
}

func (l *land) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *land) scan() *scan.Tree {
	l.Helper()
	tree, err := scan.Scan(l.Context(), l.opt)
	if err != nil {
		l.Fatal(err)
	}
	l.check(tree)
	return tree
}

// check holds a tree to what each has to be: in order, fit for the wire, and true of the files that
// are there.
func (l *land) check(tree *scan.Tree) {
	l.Helper()
	var wire bytes.Buffer
	if err := scan.Encode(&wire, tree.Entries); err != nil {
		l.Error(err)
	}
	if tree.ID != scan.ID(tree.Entries) {
		l.Error("the tree has the ID of another list")
	}
	var sum int64
	for _, e := range tree.Entries {
		sum += e.Size
		name := filepath.Join(tree.Root, e.Path)
		info, err := os.Lstat(name)
		if err != nil {
			l.Error(err)
			continue
		}
		switch e.Kind {
		case scan.File:
			text, err := os.ReadFile(name)
			if err != nil {
				l.Error(err)
			}
			if e.Sum != sha256.Sum256(text) || e.Size != info.Size() || e.ModTime != info.ModTime().UnixNano() {
				l.Errorf("%q is not as its entry says: %+v", e.Path, e)
			}
		case scan.Link:
			if target, err := os.Readlink(name); err != nil || target != e.Target {
				l.Errorf("%q: a link to %q (%v), and its entry says %q", e.Path, target, err, e.Target)
			}
		case scan.Dir:
			if !info.IsDir() {
				l.Errorf("%q is no directory", e.Path)
			}
		}
	}
	if sum != tree.Bytes {
		l.Errorf("%d bytes, and the tree says %d", sum, tree.Bytes)
	}
}

// paths are those of a tree, with their kinds if they are no files.
func paths(tree *scan.Tree) []string {
	out := []string{}
	for _, e := range tree.Entries {
		switch e.Kind {
		case scan.Dir:
			out = append(out, e.Path+"/")
		case scan.Link:
			out = append(out, e.Path+"@")
		default:
			out = append(out, e.Path)
		}
	}
	return out
}

// want scans and compares the paths with words.
func (l *land) want(words string) *scan.Tree {
	l.Helper()
	tree := l.scan()
	wanted := strings.Fields(words)
	slices.Sort(wanted)
	got := paths(tree)
	slices.Sort(got)
	if !slices.Equal(got, wanted) {
		l.Errorf("the tree has\n\t%q, and not\n\t%q", got, wanted)
	}
	return tree
}

func (l *land) entry(tree *scan.Tree, path string) scan.Entry {
	l.Helper()
	for _, e := range tree.Entries {
		if e.Path == path {
			return e
		}
	}
	l.Fatalf("no %q in %q", path, paths(tree))
	return scan.Entry{}
}

// later is a time at which all that was written by now has settled.
func later() time.Time { return time.Now().Add(time.Hour) }

// tick waits until the file system's clock has moved on, so that what is written from now on has
// other times than what was before.
func (l *land) tick() {
	l.Helper()
	probe := func() time.Time {
		file := filepath.Join(filepath.Dir(l.dir), "probe")
		l.must(os.WriteFile(file, nil, 0o644))
		info, err := os.Stat(file)
		l.must(err)
		l.must(os.Remove(file))
		return info.ModTime()
	}
	for first := probe(); !probe().After(first); {
		time.Sleep(time.Millisecond)
	}
}
