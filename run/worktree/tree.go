// Package worktree has the working tree that goes along with runs. It is scanned while instances
// are being obtained, once for all runs that begin together, and again when it changed while it was
// sent.
package worktree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// Options say which tree it is, and what is kept of it.
type Options struct {
	Scan   scan.Options
	Git    scan.History     // of the repository that goes along; "": none does
	Limits workspace.Limits // of the copies on an instance
	Cache  string           // the directory in which things are remembered; "": none are
}

// Tree is the working tree that goes along with a run, or with several that begin together.
type Tree struct {
	Options
	Root string
	Sub  string     // where in it the caller is
	Pack *send.Pack // what is sent of it to several instances; nil: it goes to one

	scans sync.WaitGroup // that go on

	mu   sync.Mutex
	last *Scan
	made []string // directories of repositories
}

// Scan is what a scan of a tree came to. See waits for it.
type Scan struct {
	Tree *scan.Tree
	Took time.Duration

	done    chan struct{} // closed when the rest is there
	err     error
	cache   string
	asked   sync.Once
	differs *bool // from the commit that is checked out; nil: not known
}

// Dirty reports whether the tree differs from the commit that is checked out; nil: that is not
// known. It is found out once for all callers.
func (s *Scan) Dirty(ctx context.Context) *bool {
	s.asked.Do(func() { s.differs = dirty(ctx, s.Tree, s.cache) })
	return s.differs
}

// New finds the tree.
func New(o Options) (t *Tree, err error) {
	t = &Tree{Options: o}
	t.Root, t.Sub, err = o.Scan.Where()
	return t, err
}

// Begin scans the tree, unless that was done since a scan that is stale; nil: none is.
func (t *Tree) Begin(ctx context.Context, stale *Scan) *Scan {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != stale {
		return t.last
	}
	l := &Scan{done: make(chan struct{}), cache: t.Cache}
	t.last = l
	t.scans.Go(func() {
		defer close(l.done)
		began := time.Now()
		l.Tree, l.err = scan.Scan(ctx, t.Scan)
		if l.err == nil && t.Git != "" {
			l.err = t.repository(ctx, l.Tree)
		}
		l.Took = time.Since(began)
	})
	return l
}

// See waits for a scan that is not stale.
func (t *Tree) See(ctx context.Context, stale *Scan) (*Scan, error) {
	l := t.Begin(ctx, stale)
	select {
	case <-l.done:
		return l, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ForSeveral has what goes to several instances be packed once.
func (t *Tree) ForSeveral() {
	if t.Cache != "" {
		t.Pack = send.NewPack(filepath.Join(t.Cache, "sync"))
	}
}

// Close waits until no scan goes on, and removes what was made for it.
func (t *Tree) Close() {
	t.scans.Wait()
	if t.Pack != nil {
		t.Pack.Close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, dir := range t.made {
		_ = os.RemoveAll(dir)
	}
	t.made = nil
}

// forgotten is after how long a repository belongs to nobody any more.
const forgotten = 24 * time.Hour

// repository adds a git directory to a tree.
func (t *Tree) repository(ctx context.Context, tree *scan.Tree) error {
	if t.Cache == "" {
		return errors.New("--git: there is no directory to put the repository together in")
	}
	above := filepath.Join(t.Cache, "repositories")
	if err := os.MkdirAll(above, 0o700); err != nil {
		return err
	}
	if all, err := os.ReadDir(above); err == nil {
		for _, e := range all { // of processes that were killed
			if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > forgotten {
				_ = os.RemoveAll(filepath.Join(above, e.Name()))
			}
		}
	}
	dir, err := os.MkdirTemp(above, "")
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.made = append(t.made, dir)
	t.mu.Unlock()
	return tree.AddRepository(ctx, t.Git, dir)
}

// dirty reports whether a tree of git's differs from the commit that is checked out; nil: that is
// not known. A git process is asked where only that can tell, and what it says is remembered as
// long as neither the index nor the commit is another.
func dirty(ctx context.Context, tree *scan.Tree, cache string) *bool {
	head := Head(tree.Root)
	if !tree.Git || head == "" || tree.Changed == scan.Unsure {
		return nil
	}
	is := tree.Changed == scan.FilesChanged
	if is {
		return &is
	}
	if cache == "" {
		return nil
	}
	file := filepath.Join(cache, "staged", Key(tree.Root, ""))
	state := head + " " + scan.IndexStamp(tree.Root)
	switch readWord(file) {
	case state + " clean":
		return &is
	case state + " staged":
		is = true
		return &is
	}
	var err error
	if is, err = scan.Staged(ctx, tree.Root); err != nil || head+" "+scan.IndexStamp(tree.Root) != state {
		return nil
	}
	if os.MkdirAll(filepath.Dir(file), 0o700) == nil { // else git is asked again the next time
		_ = os.WriteFile(file, fmt.Appendf(nil, "%s %s\n", state, map[bool]string{true: "staged", false: "clean"}[is]), 0o600)
	}
	return &is
}
