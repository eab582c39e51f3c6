package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

var (
	errNoInstance = errors.New("there is no such instance")
	errForeign    = errors.New("the directory is there, and not this installation's")
)

// owner is the marker in an instance's directory.
type owner struct {
	Installation string `json:"installation"`
	Source       string `json:"source"`
	ID           string `json:"id"`
	Image        string `json:"image"`
	Cores        int    `json:"cores,omitempty"`  // at least, as asked for when it was made; 0: any
	Memory       int64  `json:"memory,omitempty"` // bytes, at least
	Disk         int64  `json:"disk,omitempty"`   // bytes, at least
}

func (p *Provider) home(id compute.ID) string { return filepath.Join(p.o.Dir, "instances", string(id)) }

func (p *Provider) ours(o owner) bool {
	return o.Installation == p.o.Installation && o.Source == p.o.Source
}

// plain reports whether a name can be a directory's.
func plain(id compute.ID) bool {
	s := string(id)
	return s != "" && len(s) <= 200 && s[0] != '.' && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r < ' ' || r == 127 })
}

// owner reads an instance's marker.
func (p *Provider) owner(id compute.ID) (o owner, err error) {
	if !plain(id) {
		return o, errNoInstance
	}
	b, err := os.ReadFile(filepath.Join(p.home(id), "owner"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return o, errNoInstance
	}
	if err != nil {
		return o, err
	}
	if len(b) == 0 { // it is about to be written, or was
		return o, errNoInstance
	}
	if json.Unmarshal(b, &o) != nil || o.ID != string(id) || !p.ours(o) {
		return o, errForeign
	}
	return o, nil
}

// begin makes an instance's directory, unless it is there.
func (p *Provider) begin(id compute.ID) error {
	if err := p.at("begin"); err != nil {
		return err
	}
	err := os.Mkdir(p.home(id), 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(p.home(id)), 0o700); err == nil {
			err = os.Mkdir(p.home(id), 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return err
}

// mark writes the marker of an instance whose directory, which is locked, has none.
func (p *Provider) mark(home *os.File, o owner) error {
	if names, err := home.Readdirnames(2); len(names) > 1 || len(names) == 1 && names[0] != "owner" {
		return errors.Join(errForeign, err)
	}
	if err := p.at("mark"); err != nil {
		return err
	}
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(int(home.Fd()), "owner", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: "owner", Err: err}
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, b)
	return err
}

// lock waits for an instance's lock: an open directory whose Close lets it go. A directory that a call left without a marker, dying at that, gets fresh;
// may be nil. errNoInstance: it is not there, or not any more; errForeign: not ours.
func (p *Provider) lock(ctx context.Context, id compute.ID, fresh *owner) (*os.File, owner, error) {
	if !plain(id) {
		return nil, owner{}, errNoInstance
	}
	f, err := os.OpenFile(p.home(id), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, owner{}, errNoInstance
	}
	if err != nil {
		return nil, owner{}, err
	}
	var o owner
	if err = flock(ctx, f); err == nil {
		// While we waited it may have been destroyed, or even made again; then this lock is of something else.
		var a, b unix.Stat_t
		if unix.Fstat(int(f.Fd()), &a) != nil || unix.Lstat(p.home(id), &b) != nil || a.Ino != b.Ino || a.Dev != b.Dev {
			err = errNoInstance
		} else if o, err = p.owner(id); errors.Is(err, errNoInstance) && fresh != nil {
			o, err = *fresh, p.mark(f, *fresh)
		} else if errors.Is(err, errNoInstance) && os.Remove(p.home(id)) != nil {
			err = errForeign // one with something in it and no marker was never ours
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
	f, o, err := p.lock(ctx, id, nil)
	if errors.Is(err, errForeign) {
		err = errNoInstance
	}
	return f, o, err
}

// flock locks a file against all others, and waits for it until ctx ends.
func flock(ctx context.Context, f *os.File) error {
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// throw puts a directory into the trash, and says where it is there.
func (p *Provider) throw(dir string) (string, error) {
	trash := filepath.Join(p.o.Dir, "trash")
	for try := 0; ; try++ {
		to := filepath.Join(trash, filepath.Base(dir)+"-"+strconv.FormatUint(rand.Uint64(), 36))
		if err := os.Mkdir(trash, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		err := os.Rename(dir, to)
		if errors.Is(err, fs.ErrNotExist) && try < 100 { // whoever sweeps takes the trash away when it is empty
			if _, serr := os.Lstat(dir); serr == nil {
				continue
			}
		}
		return to, err
	}
}

// sweep deletes what a Destroy that was killed left in the trash, longer than age ago.
func (p *Provider) sweep(ctx context.Context, age time.Duration) {
	trash := filepath.Join(p.o.Dir, "trash")
	old := func(dir, prefix string, age time.Duration) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || ctx.Err() != nil || !strings.HasPrefix(e.Name(), prefix) || time.Since(info.ModTime()) < age {
				continue
			}
			if err := remove(filepath.Join(dir, e.Name())); err != nil {
				p.log.Warn("the trash cannot be deleted", "source", p.o.Source, "path", e.Name(), "err", err)
			}
		}
	}
	old(trash, "", age)
	old(p.o.Dir, "new-", time.Hour) // an empty disk that somebody died over making
	_ = os.Remove(trash)            // if it is empty
}

// remove deletes a tree that may be anybody's idea of one: deeper than there are descriptors, or names of a length, and with directories whose modes
// forbid it to their owner. No link in it leads anywhere. What is in a directory is moved up into the tree's top before it is looked into, so that nothing
// is ever far down.
func remove(tree string) error {
	fd, err := unix.Open(tree, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.EACCES) && unix.Chmod(tree, 0o700) == nil {
		fd, err = unix.Open(tree, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return os.Remove(tree)
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: tree, Err: err}
	}
	top := os.NewFile(uintptr(fd), tree)
	defer top.Close()
	for {
		names, err := top.Readdirnames(1000)
		for _, name := range names {
			if err := removeFrom(fd, fd, name); err != nil {
				return &os.PathError{Op: "delete", Path: filepath.Join(tree, name), Err: err}
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err := os.Remove(tree); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
				return err
			}
		}
		if _, err := top.Seek(0, io.SeekStart); err != nil { // what was moved up has come
			return err
		}
	}
}

// removeFrom deletes an entry of a directory. The directories in a directory are moved to the top, and wait there for their turn.
func removeFrom(top, dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if dir != top {
		return unix.Renameat(dir, name, top, "up-"+strconv.FormatUint(rand.Uint64(), 36))
	}
	_ = unix.Fchmodat(dir, name, 0o700, 0) // it was seen to be a directory, and nobody else is at it any more
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		_ = unix.Fchmodat(fd, n, 0o700, unix.AT_SYMLINK_NOFOLLOW) // to rename a directory is to write to it
		if err := removeFrom(top, fd, n); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}
