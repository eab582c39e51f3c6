package runcmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// outlook is the working tree that goes along with a run, or with several that begin together: it
// is looked at once for all of them, and anew when it has changed while it was sent.
type outlook struct {
	opt  scan.Options
	git  scan.History // of the repository that goes along; "": none does
	root string       // of the tree
	sub  string       // where in it the caller is

	limits workspace.Limits // of the copies on a computer
	pack   *send.Pack       // what is sent of it to several computers; nil: it goes to one

	looks sync.WaitGroup // that go on

	mu   sync.Mutex
	last *look
	made []string // directories of repositories
}

// look is what a look at it came to; it is there when done is closed.
type look struct {
	done chan struct{}
	tree *scan.Tree
	err  error
	took time.Duration

	asked   sync.Once
	differs *bool // from the commit that is checked out; nil: not known
}

// dirty reports whether the tree differs from the commit that is checked out; nil: that is not
// known. It is found out once for all who ask.
func (l *look) dirty(ctx context.Context) *bool {
	l.asked.Do(func() { l.differs = dirty(ctx, l.tree) })
	return l.differs
}

// newOutlook finds the tree.
func newOutlook(a *cli.App, o *treeOptions) (*outlook, error) {
	s, err := readSyncing(a)
	if err != nil {
		return nil, err
	}
	controller.SpareFirstCollection()
	t := &outlook{limits: s.limits()}
	if t.opt, t.git, err = s.scanOptions(o); err != nil {
		return nil, err
	}
	t.root, t.sub, err = t.opt.Where()
	return t, err
}

// begin looks at the tree, unless somebody has since a look that is stale; nil: none is.
func (t *outlook) begin(ctx context.Context, stale *look) *look {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != stale {
		return t.last
	}
	l := &look{done: make(chan struct{})}
	t.last = l
	t.looks.Go(func() {
		defer close(l.done)
		began := time.Now()
		l.tree, l.err = scan.Scan(ctx, t.opt)
		if l.err == nil && t.git != "" {
			l.err = t.repository(ctx, l.tree)
		}
		l.took = time.Since(began)
	})
	return l
}

// see waits for a look that is not stale.
func (t *outlook) see(ctx context.Context, stale *look) (*look, error) {
	l := t.begin(ctx, stale)
	select {
	case <-l.done:
		return l, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// forSeveral has what goes to several computers be packed once.
func (t *outlook) forSeveral() {
	if cache, err := host.CacheDir(); err == nil {
		t.pack = send.NewPack(filepath.Join(cache, "sync"))
	}
}

// end waits until nobody looks any more, and removes what was made for it.
func (t *outlook) end() {
	t.looks.Wait()
	if t.pack != nil {
		t.pack.Close()
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
func (t *outlook) repository(ctx context.Context, tree *scan.Tree) error {
	cache, err := host.CacheDir()
	if err != nil {
		return err
	}
	above := filepath.Join(cache, "repositories")
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
	return tree.AddRepository(ctx, t.git, dir)
}

// dirty reports whether a tree of git's differs from the commit that is checked out; nil: that is
// not known. A git process is asked where only that can tell, and what it says is remembered as
// long as neither the index nor the commit is another.
func dirty(ctx context.Context, tree *scan.Tree) *bool {
	head := gitHead(tree.Root)
	if !tree.Git || head == "" || tree.Changed == scan.Unsure {
		return nil
	}
	is := tree.Changed == scan.FilesChanged
	if is {
		return &is
	}
	cache, err := host.CacheDir()
	if err != nil {
		return nil
	}
	file := filepath.Join(cache, "staged", treeKey(tree.Root, ""))
	state := head + " " + scan.IndexStamp(tree.Root)
	switch readWord(file) {
	case state + " clean":
		return &is
	case state + " staged":
		is = true
		return &is
	}
	if is, err = scan.Staged(ctx, tree.Root); err != nil || head+" "+scan.IndexStamp(tree.Root) != state {
		return nil
	}
	if os.MkdirAll(filepath.Dir(file), 0o700) == nil { // else git is asked again the next time
		_ = os.WriteFile(file, fmt.Appendf(nil, "%s %s\n", state, map[bool]string{true: "staged", false: "clean"}[is]), 0o600)
	}
	return &is
}
