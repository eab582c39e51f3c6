// Package worktree has the working tree that goes along with runs. It scans the tree while
// instances are being acquired, once for all runs that begin together. If the tree changes while it
// is sent, it scans it again.
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

// Options say which tree to send and how.
type Options struct {
	Scan   scan.Options
	Git    scan.History     // of the repository that goes along; "": none does
	Limits workspace.Limits // for the copies on an instance
	Cache  string           // the directory in which things are remembered; "": none are
}

// Tree is the working tree of one run, or of several that begin together. It is safe for concurrent
// use.
type Tree struct {
	Options
	Root string
	Sub  string     // the caller's directory in it
	Pack *send.Pack // shared by several instances; nil: one instance only

	scans sync.WaitGroup // scans in progress

	mu   sync.Mutex
	last *Scan
	made []string // directories for repositories, to be removed
}

// Scan is the result of a scan. See waits for it.
type Scan struct {
	Tree *scan.Tree
	Took time.Duration

	done    chan struct{} // closed when the result is there
	err     error
	cache   string
	asked   sync.Once
	differs *bool // whether it differs from the commit; nil: unknown
}

// Dirty reports whether the tree differs from the commit that is checked out; nil if unknown. It
// finds out once for all callers.
func (s *Scan) Dirty(ctx context.Context) *bool {
	s.asked.Do(func() { s.differs = dirty(ctx, s.Tree, s.cache) })
	return s.differs
}

// New finds the tree. It does not scan it yet.
func New(o Options) (t *Tree, err error) {
	t = &Tree{Options: o}
	t.Root, t.Sub, err = o.Scan.Where()
	return t, err
}

// Begin starts a scan, unless there is a newer one than stale already. stale may be nil.
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

// Await waits for a scan that is newer than stale.
func (t *Tree) Await(ctx context.Context, stale *Scan) (*Scan, error) {
	l := t.Begin(ctx, stale)
	select {
	case <-l.done:
		return l, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// PackOnce makes the tree pack its contents once for several instances.
func (t *Tree) PackOnce() {
	if t.Cache != "" {
		t.Pack = send.NewPack(filepath.Join(t.Cache, "sync"))
	}
}

// Close waits for running scans, and removes what was made for the tree.
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

// forgotten is the age at which a leftover repository is removed.
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
		for _, e := range all { // left by killed processes
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

// dirty reports whether a git tree differs from the commit that is checked out; nil if unknown. It
// runs git only if nothing else can tell. The answer is remembered as long as the index and the
// commit stay the same.
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
	if os.MkdirAll(filepath.Dir(file), 0o700) == nil { // on failure git is asked again next time
		_ = os.WriteFile(file, fmt.Appendf(nil, "%s %s\n", state, map[bool]string{true: "staged", false: "clean"}[is]), 0o600)
	}
	return &is
}
