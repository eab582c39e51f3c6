package treewatch_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/treewatch"
)

const patience = time.Minute

// land is a git work tree that is watched.
type land struct {
	*testing.T
	dir     string
	opt     scan.Options
	changed chan struct{}
	end     func() error
}

func newLand(t *testing.T) *land {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", base)
	t.Setenv("XDG_CONFIG_HOME", base)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	l := &land{T: t, dir: filepath.Join(base, "tree"), changed: make(chan struct{}, 1)}
	l.opt = scan.Options{Dir: l.dir, Home: filepath.Join(base, "home")}
	l.write("a", "dir/b", "dir/sub/c", "ignored/d", "x.o", ".hostlerignore")
	l.must(os.WriteFile(l.path(".gitignore"), []byte("ignored\n*.o\n"), 0o644))
	l.must(os.Mkdir(l.path("empty"), 0o755))
	l.git("init", "-q")
	l.git("add", "a", ".gitignore")
	return l
}

// start watches, and returns when that has begun.
func (l *land) start() {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- treewatch.Tree(ctx, l.opt, ready, l.changed) }()
	l.end = func() error { cancel(); return <-ended }
	select {
	case <-ready:
	case err := <-ended:
		l.Fatal(err)
	case <-time.After(patience):
		l.Fatal("it does not begin")
	}
}

func (l *land) path(name string) string { return filepath.Join(l.dir, name) }

func (l *land) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *land) write(names ...string) {
	l.Helper()
	for _, name := range names {
		l.must(os.MkdirAll(filepath.Dir(l.path(name)), 0o755))
		l.must(os.WriteFile(l.path(name), []byte(name), 0o644))
	}
}

func (l *land) git(words ...string) {
	l.Helper()
	cmd := exec.Command("git", words...)
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("git %v: %v: %s", words, err, out)
	}
}

// told waits until a change is told.
func (l *land) told() {
	l.Helper()
	select {
	case <-l.changed:
	case <-time.After(patience):
		l.Fatal("nothing is told of the change")
	}
}

func (l *land) id() [32]byte {
	l.Helper()
	tree, err := scan.Scan(l.Context(), l.opt)
	l.must(err)
	return tree.ID
}

// Each kind of change is told. What is told twice, as the kernel does, would let the next look as
// if it were told: so each has a watch of its own.
func TestTree(t *testing.T) {
	for name, change := range map[string]func(l *land){
		"a file is written":      func(l *land) { l.must(os.WriteFile(l.path("dir/sub/c"), []byte("more"), 0o644)) },
		"a file appears":         func(l *land) { l.write("dir/new") },
		"in an empty directory":  func(l *land) { l.write("empty/new") },
		"in new directories":     func(l *land) { l.write("some/of/them/new") },
		"a file goes":            func(l *land) { l.must(os.Remove(l.path("dir/b"))) },
		"a directory goes":       func(l *land) { l.must(os.RemoveAll(l.path("dir"))) },
		"a directory moves":      func(l *land) { l.must(os.Rename(l.path("dir/sub"), l.path("moved"))) },
		"the x bit":              func(l *land) { l.must(os.Chmod(l.path("a"), 0o755)) },
		"a link":                 func(l *land) { l.must(os.Symlink("a", l.path("dir/link"))) },
		"saved as editors do":    func(l *land) { l.write("a.tmp"); l.must(os.Rename(l.path("a.tmp"), l.path("a"))) },
		"git tracks it":          func(l *land) { l.git("add", "-f", "x.o") },
		"in an ignored one":      func(l *land) { l.git("add", "-f", "ignored/d") },
		"git ignores no more":    func(l *land) { l.write(".gitignore") },
		"our rules":              func(l *land) { l.must(os.WriteFile(l.path(".hostlerignore"), []byte("dir\n"), 0o644)) },
		"git init within":        func(l *land) { l.write("dir/sub/own/e") },
		"beside what is ignored": func(l *land) { l.write("ignored/e", "y.o", "dir/z.o"); l.write("dir/z") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLand(t)
			l.start()
			before := l.id()
			change(l)
			if l.id() == before {
				t.Fatal("the change does not change the tree")
			}
			l.told()
			l.must(l.end())
		})
	}
}

// What happens after a change is told as well: in places that were not there when the watching
// began.
func TestTreeGoesOn(t *testing.T) {
	l := newLand(t)
	l.start()
	l.write("new/deep/a")
	l.told()
	for { // until all of it is told, nothing is to be told any more
		before := l.id()
		l.must(os.WriteFile(l.path("new/deep/a"), []byte(time.Now().String()), 0o644))
		if l.id() == before {
			continue // the same moment, for the file system
		}
		break
	}
	l.told()
	l.git("add", "-f", "ignored/d")
	l.told()
	l.must(l.end())
}

func TestTreeWithoutGit(t *testing.T) {
	l := newLand(t)
	l.must(os.RemoveAll(l.path(".git")))
	l.start()
	l.write("ignored/here/too")
	l.told()
	l.must(l.end())
}

func TestTreeThatIsNone(t *testing.T) {
	l := newLand(t)
	l.opt.Root = "nowhere"
	if err := treewatch.Tree(t.Context(), l.opt, make(chan struct{}), l.changed); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}
