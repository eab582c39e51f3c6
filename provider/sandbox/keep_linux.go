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
	Installation string            `json:"installation"`
	Source       string            `json:"source"`
	ID           string            `json:"id"`
	Image        string            `json:"image"`
	Facts        map[string]string `json:"facts,omitempty"`
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
	if json.Unmarshal(b, &o) != nil || o.ID != string(id) || !p.ours(o) {
		return o, errForeign
	}
	return o, nil
}

// begin makes an instance's directory with its marker in it, both at once, unless it is there.
func (p *Provider) begin(o owner) error {
	home := p.home(compute.ID(o.ID))
	if _, err := os.Lstat(home); err == nil {
		return nil
	}
	if err := p.at("begin"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.o.Dir, "instances"), 0o700); err != nil {
		return err
	}
	made, err := os.MkdirTemp(p.o.Dir, "new-*")
	if err != nil {
		return err
	}
	b, err := json.Marshal(o)
	if err == nil {
		err = os.WriteFile(filepath.Join(made, "owner"), b, 0o600)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(made))
	}
	if err := p.at("name"); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, home, unix.RENAME_NOREPLACE)
	if err != nil {
		err = &os.LinkError{Op: "rename", Old: made, New: home, Err: err}
	}
	if errors.Is(err, fs.ErrExist) { // another was faster
		return os.RemoveAll(made)
	}
	return err
}

// lock waits for an instance's lock: an open directory whose Close lets it go. errNoInstance: it is not there, or not any more; errForeign: not ours.
func (p *Provider) lock(ctx context.Context, id compute.ID) (*os.File, owner, error) {
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
		} else if o, err = p.owner(id); errors.Is(err, errNoInstance) {
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
	f, o, err := p.lock(ctx, id)
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

// sweep deletes what calls that were killed left: directories in the trash for longer than age, and those that were begun long ago.
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
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				p.log.Warn("the trash cannot be deleted", "source", p.o.Source, "path", e.Name(), "err", err)
			}
		}
	}
	old(trash, "", age)
	old(p.o.Dir, "new-", time.Hour)
	_ = os.Remove(trash) // if it is empty
}
