package treewatch

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

// quietTime is how long nothing must change before a change is reported. So one save of an editor,
// or one checkout, is one change.
const quietTime = 150 * time.Millisecond

// impatient is the longest wait for quietTime.
const impatient = 2 * time.Second

// settle bounds how often new directories are watched and read again before the result is taken as
// it is.
const settle = 50

// Tree watches a tree until ctx ends, and fills changed when the scan has changed. opt are the
// scan's options. ready is closed when changes are noticed from then on. Tree returns an error if
// it cannot watch or scan, and nil when ctx ends.
func Tree(ctx context.Context, opt scan.Options, ready chan<- struct{}, changed chan<- struct{}) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return failed(err)
	}
	defer w.Close()
	opt.Unread = true // a written file has another time
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

// watched is a tree with the watches on its directories.
type watched struct {
	*fsnotify.Watcher
	opt scan.Options
	id  [32]byte
	git []string // directories in which only the file "index" counts
}

// look scans the tree and watches all its directories. It repeats the scan if a directory was not
// watched before it.
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

// place watches these directories and no others. It reports whether any is new.
func (t *watched) place(dirs []string) (added bool, err error) {
	wanted, have := map[string]bool{}, map[string]bool{}
	for _, dir := range dirs {
		wanted[dir] = true
	}
	for _, dir := range t.WatchList() {
		if have[dir] = true; !wanted[dir] {
			_ = t.Remove(dir) // it may be gone already
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

// wait returns after the next change and then quietTime. ok is false if ctx has ended.
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
		case <-t.Errors: // some notices were lost
		}
		quiet = time.After(quietTime)
		if enough == nil {
			enough = time.After(impatient)
		}
	}
}

// failed is the error of watching.
func failed(err error) error {
	e := &compute.Error{Op: "watch", Kind: compute.ErrFailed, Err: err}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		e.Err = fmt.Errorf("the kernel watches no more directories for this user: %w", err)
		e.Hint = "as root: sysctl fs.inotify.max_user_watches=1000000 fs.inotify.max_user_instances=1024"
	}
	return e
}
