package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// Quiet is how long nothing has to change before a change is told, so that one save of an editor,
// or a checkout, is one change.
const Quiet = 150 * time.Millisecond

// impatient is how long the quiet is waited for where there is none.
const impatient = 2 * time.Second

// settle is how often directories that are new are looked at for more before what there is by then
// is taken.
const settle = 50

// Tree watches the tree that a scan with these options returns, until ctx ends, and fills changed
// when it is another. ready is closed when it has begun: what changes from then on is told. It
// returns an error when it cannot watch or scan any more, and nil at the end of ctx.
func Tree(ctx context.Context, opt scan.Options, ready chan<- struct{}, changed chan<- struct{}) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return failed(err)
	}
	defer w.Close()
	opt.Unread = true // a file that was written has another time
	t := &watched{Watcher: w, opt: opt}
	for first := true; ; first = false {
		before := t.id
		if err := t.look(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		switch {
		case first:
			close(ready)
		case t.id != before:
			select {
			case changed <- struct{}{}:
			default: // the slot is full: one is pending
			}
		}
		if !t.wait(ctx) {
			return nil
		}
	}
}

// watched is a tree and what the kernel tells of it.
type watched struct {
	*fsnotify.Watcher
	opt scan.Options
	id  [32]byte
	git []string // directories in which only the file "index" counts
}

// look scans the tree, and has the kernel tell of all places in it. What is not watched yet when it
// is scanned is scanned again.
func (t *watched) look(ctx context.Context) error {
	for range settle {
		tree, err := scan.Scan(ctx, t.opt)
		if err != nil {
			return err
		}
		places, err := scan.Watched(ctx, t.opt, tree)
		if err != nil {
			return err
		}
		t.id, t.git = tree.ID, places.Git
		added, err := t.place(append(places.Dirs, places.Git...))
		if err != nil || !added {
			return err
		}
	}
	return nil
}

// place has the kernel tell of these directories and no others, and reports whether any is new.
func (t *watched) place(dirs []string) (added bool, err error) {
	wanted, have := map[string]bool{}, map[string]bool{}
	for _, dir := range dirs {
		wanted[dir] = true
	}
	for _, dir := range t.WatchList() {
		if have[dir] = true; !wanted[dir] {
			_ = t.Remove(dir) // it may have gone by itself
		}
	}
	for _, dir := range dirs {
		if have[dir] {
			continue
		}
		err := t.Add(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return added, failed(err)
		}
		added = true
	}
	return added, nil
}

// wait returns when something happened, and then nothing for a while. ok is false when ctx has
// ended.
func (t *watched) wait(ctx context.Context) (ok bool) {
	var quiet, enough <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-quiet:
			return true
		case <-enough:
			return true
		case e := <-t.Events:
			if slices.Contains(t.git, filepath.Dir(e.Name)) && filepath.Base(e.Name) != "index" ||
				e.Op == fsnotify.Chmod && slices.Contains(t.git, e.Name) {
				continue
			}
		case <-t.Errors: // it has told less than there was
		}
		quiet = time.After(Quiet)
		if enough == nil {
			enough = time.After(impatient)
		}
	}
}

// failed says why there is no watching.
func failed(err error) error {
	e := &compute.Error{Op: "watch", Kind: compute.ErrFailed, Err: err}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		e.Err = fmt.Errorf("the kernel watches no more directories for this user: %w", err)
		e.Hint = "as root: sysctl fs.inotify.max_user_watches=1000000 fs.inotify.max_user_instances=1024"
	}
	return e
}
