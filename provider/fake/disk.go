package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// disk is an inventory in a directory, with a file for each computer, so short-lived processes see
// the same ones. One lock guards all files. The kernel releases it when its process dies.
type disk struct{ dir string }

const suffix = ".computer.json"

// path returns the path of the computer's file. A name cannot lead out of the directory: escaping
// leaves no slash, and the suffix no "..".
func (d disk) path(k key) string {
	return filepath.Join(d.dir, url.PathEscape(k.installation)+","+url.PathEscape(k.source)+","+url.PathEscape(k.id)+suffix)
}

// locked runs f while no other process uses the directory.
func (d disk) locked(f func() error) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	l, err := os.OpenFile(filepath.Join(d.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer l.Close() // this releases the lock
	for {
		if err = syscall.Flock(int(l.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", l.Name(), err)
	}
	return f()
}

// read returns the computer in a file. errUnknown: there is none, or its end has come.
func (d disk) read(path string, now time.Time) (computer, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENAMETOOLONG) {
		return computer{}, errUnknown
	}
	if err != nil {
		return computer{}, err
	}
	var c computer
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if !c.Gone.IsZero() && !now.Before(c.Gone) {
		os.Remove(path)
		return c, errUnknown
	}
	return c, nil
}

// write replaces the file atomically: if this process dies, the old or the new one is there.
func (d disk) write(path string, c computer) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// all returns the computers of all owners.
func (d disk) all(now time.Time) ([]computer, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var out []computer
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		c, err := d.read(filepath.Join(d.dir, e.Name()), now)
		if errors.Is(err, errUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// add adds a computer, unless one with its key is there: that one is returned with false. The
// capacity counts the computers of all owners, and 0 is no limit.
func (d disk) add(c computer, capacity int, now time.Time) (out computer, made bool, err error) {
	path := d.path(key{c.Installation, c.Source, c.ID})
	err = d.locked(func() error {
		if out, err = d.read(path, now); !errors.Is(err, errUnknown) {
			return err
		}
		if capacity > 0 {
			all, err := d.all(now)
			if err != nil {
				return err
			}
			if len(all) >= capacity {
				return errFull
			}
		}
		out, made = c, true
		return d.write(path, c)
	})
	return out, made && err == nil, err
}

// change applies f to a computer, and destroys it if f returns false. It writes no file if
// nothing changed.
func (d disk) change(k key, now time.Time, f func(*computer) bool) (c computer, err error) {
	path := d.path(k)
	err = d.locked(func() error {
		if c, err = d.read(path, now); err != nil {
			return err
		}
		before, _ := json.Marshal(c)
		if !f(&c) {
			return os.Remove(path)
		}
		if after, _ := json.Marshal(c); string(after) == string(before) {
			return nil
		}
		return d.write(path, c)
	})
	return c, err
}

// list returns one source's computers, in the order of their files' names.
func (d disk) list(installation, source string, now time.Time) (out []computer, err error) {
	err = d.locked(func() error {
		all, err := d.all(now)
		for _, c := range all {
			if c.Installation == installation && c.Source == source {
				out = append(out, c)
			}
		}
		return err
	})
	return out, err
}
