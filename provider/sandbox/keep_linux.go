package sandbox

import (
	"context"
	"encoding/json"
	"errors"
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

// sweep deletes what a Destroy that was killed left in the trash, longer than age ago.
func (p *Provider) sweep(ctx context.Context, age time.Duration) {
	trash := filepath.Join(p.o.Dir, "trash")
	entries, err := os.ReadDir(trash)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || ctx.Err() != nil || time.Since(info.ModTime()) < age {
			continue
		}
		if err := remove(filepath.Join(trash, e.Name())); err != nil {
			p.log.Warn("the trash cannot be deleted", "source", p.o.Source, "path", e.Name(), "err", err)
		}
	}
	_ = os.Remove(trash) // if it is empty
}

// remove deletes a tree, also where its directories' modes forbid it to their owner, as those of an overlay's working directory and whatever a
// command made.
func remove(tree string) error {
	err := os.RemoveAll(tree)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(tree)) // what is in the tree is somebody else's idea: no link of it leads anywhere
	if err != nil {
		return err
	}
	defer root.Close()
	var open func(name string)
	open = func(name string) {
		_ = root.Chmod(name, 0o700)
		d, err := root.Open(name)
		if err != nil {
			return
		}
		entries, _ := d.ReadDir(-1)
		d.Close()
		for _, e := range entries {
			if e.IsDir() {
				open(filepath.Join(name, e.Name()))
			}
		}
	}
	open(filepath.Base(tree))
	return os.RemoveAll(tree)
}
