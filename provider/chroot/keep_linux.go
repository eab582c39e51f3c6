package chroot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

var (
	errNoInstance = errors.New("there is no such instance")
	errForeign    = errors.New("the directory is there, and not this installation's")
)

// owner is the marker beside an instance's root.
type owner struct {
	Installation string `json:"installation"`
	Source       string `json:"source"`
	ID           string `json:"id"`
	Base         string `json:"base"`            // as it was configured when the instance was made
	Layer        string `json:"layer,omitempty"` // overlay or copy, once it is decided
	Lower        string `json:"lower,omitempty"` // the directory under the layer, once it is decided
}

func (p *Provider) home(id compute.ID) string { return filepath.Join(p.o.Dir, "instances", string(id)) }
func (p *Provider) root(id compute.ID) string { return filepath.Join(p.home(id), "root") }

func (p *Provider) ours(o owner) bool {
	return o.Installation == p.o.Installation && o.Source == p.o.Source
}

// owner reads an instance's marker.
func (p *Provider) owner(id compute.ID) (o owner, err error) {
	if !plain(id) {
		return o, errNoInstance
	}
	if o, err = p.readOwner(string(id)); err == nil && o.ID != string(id) {
		err = errForeign
	}
	return o, err
}

// readOwner reads the marker in one of the directories of instances.
func (p *Provider) readOwner(name string) (o owner, err error) {
	b, err := os.ReadFile(filepath.Join(p.o.Dir, "instances", name, "owner"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return o, errNoInstance
	}
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, errForeign
	}
	return o, nil
}

// write replaces an instance's marker at once.
func (o owner) write(home string) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "owner.new"), b, 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(home, "owner.new"), filepath.Join(home, "owner"))
}

// begin makes an instance's directory with its marker in it, both at once, unless it is there.
func (p *Provider) begin(id compute.ID) error {
	if _, err := os.Lstat(p.home(id)); err == nil {
		return nil
	}
	if err := p.at("begin"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.o.Dir, "instances"), 0o700); err != nil {
		return err
	}
	if err := p.place(); err != nil { // another may have been faster
		return err
	}
	made, err := os.MkdirTemp(p.o.Dir, "new-*")
	if err != nil {
		return err
	}
	if err := (owner{Installation: p.o.Installation, Source: p.o.Source, ID: string(id), Base: p.o.Base}).write(made); err != nil {
		return err
	}
	if err := p.at("name"); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, p.home(id), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) { // another was faster
		return os.RemoveAll(made)
	}
	return err
}

// lock waits for an instance's lock: a file whose Close lets it go. errNoInstance: it is not there, or not any more; errForeign: not ours.
func (p *Provider) lock(ctx context.Context, id compute.ID) (*os.File, owner, error) {
	var o owner
	if !plain(id) {
		return nil, o, errNoInstance
	}
	f, err := os.OpenFile(p.home(id), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, o, errNoInstance
	}
	if err != nil {
		return nil, o, err
	}
	err = flock(ctx, f)
	if err == nil {
		// While we waited it may have been destroyed, or even made again; then this lock is of something else.
		var a, b unix.Stat_t
		if unix.Fstat(int(f.Fd()), &a) != nil || unix.Lstat(p.home(id), &b) != nil || a.Ino != b.Ino || a.Dev != b.Dev {
			err = errNoInstance
		} else if o, err = p.owner(id); errors.Is(err, errNoInstance) || err == nil && !p.ours(o) {
			err = errForeign // a directory without a marker was never ours
		}
	}
	if err != nil {
		f.Close()
		return nil, o, err
	}
	return f, o, nil
}

// mine is lock where what is foreign is as good as not there.
func (p *Provider) mine(ctx context.Context, id compute.ID) (*os.File, owner, error) {
	if err := ctx.Err(); err != nil {
		return nil, owner{}, err
	}
	if err := p.place(); err != nil {
		return nil, owner{}, err
	}
	f, o, err := p.lock(ctx, id)
	if errors.Is(err, errForeign) {
		err = errNoInstance
	}
	return f, o, err
}

// flock locks a file against all others, and waits for it until ctx ends.
func flock(ctx context.Context, f *os.File) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// discard moves a path to the trash: at once it is gone from where it was.
func (p *Provider) discard(path string) error {
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	trash := filepath.Join(p.o.Dir, "trash")
	for try := 0; ; try++ {
		err := os.MkdirAll(trash, 0o700)
		if err == nil {
			var place string
			if place, err = os.MkdirTemp(trash, filepath.Base(path)+"-*"); err == nil {
				err = os.Rename(path, filepath.Join(place, "x"))
			}
		}
		// Another process's sweep may have taken the empty place away, or the empty trash.
		if !errors.Is(err, fs.ErrNotExist) || try == 100 {
			return err
		}
	}
}

// sweep deletes the trash, and what a process that died in the middle had begun to make. It is no error when something resists: it is tried
// again at the next call. Trash younger than age is left to whoever brought it there.
func (p *Provider) sweep(ctx context.Context, age time.Duration) {
	var old []string
	find := func(dir, prefix string, age time.Duration) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && strings.HasPrefix(e.Name(), prefix) && time.Since(info.ModTime()) >= age {
				old = append(old, filepath.Join(dir, e.Name()))
			}
		}
	}
	find(filepath.Join(p.o.Dir, "trash"), "", age)
	// Making takes a moment; an hour later nobody is at it any more. Unpacking a tarball may take longer: it holds a lock.
	find(p.o.Dir, "new-", time.Hour)
	for _, path := range old {
		if ctx.Err() != nil {
			return
		}
		if locked(path) {
			continue
		}
		// Nothing is mounted in what was discarded. Yet deleting through a mount would be the end of what is behind it: so look.
		err := unmountAll(path, nil)
		if err == nil {
			err = os.RemoveAll(path)
		}
		if err != nil {
			p.log.Warn("the trash cannot be deleted", "source", p.o.Source, "path", path, "err", err)
		}
	}
	_ = os.Remove(filepath.Join(p.o.Dir, "trash")) // if it is empty
}

// locked reports whether somebody holds the lock of a directory.
func locked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// full reports whether an error means that there is no room.
func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// baseError is a base that cannot be used, for the user to mend.
func baseError(base string, err error) error {
	return &compute.Error{
		Op: "chroot.Create", Kind: compute.ErrInvalid, Err: fmt.Errorf("base %s: %w", base, err), Hint: "set base to a directory or tarball with a root file system",
	}
}
