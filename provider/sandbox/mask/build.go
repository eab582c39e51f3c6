//go:build linux

package mask

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// format is part of every digest: a change of what a layer looks like changes it.
const format = "hostler mask 1\n"

// newAge is how old a half-made layer must be to be taken for a dead process's.
const newAge = time.Hour

// Build returns the directory of the layer that has these rules, below dir, and makes it if it is not there: whole or not at all, in any number
// of processes. Its name is the digest of the rules and of how the host's directories in it look, which Root ("": "/") has. dir is made if it is
// missing; it must belong to the caller and to nobody else.
func Build(ctx context.Context, dir, root string, rules []Rule) (layer string, err error) {
	plan, err := newPlan(root, rules)
	if err != nil {
		return "", err
	}
	if err := own(dir); err != nil {
		return "", err
	}
	home := filepath.Join(dir, plan.digest)
	if err := use(home); err == nil {
		return filepath.Join(home, "root"), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	forsaken(dir)
	half, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return "", err
	}
	if err := plan.write(half); err != nil {
		remove(half)
		return "", fmt.Errorf("write the layer that hides the host's secrets: %w", err)
	}
	if err := os.Rename(half, home); err != nil {
		remove(half)
		if uerr := use(home); uerr != nil { // else another process was faster
			return "", err
		}
	}
	return filepath.Join(home, "root"), nil
}

// own makes dir if need be and makes sure that nobody else has his hands in it.
func own(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, who can have made it to do harm: let root see what it is and remove it, or set XDG_RUNTIME_DIR to a "+
			"directory in memory that is yours alone", st.Uid)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that belongs to this user alone", dir)
	}
	return nil
}

// use marks a finished layer as wanted now, for Prune.
func use(home string) error {
	err := unix.UtimesNanoAt(unix.AT_FDCWD, home, nil, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: home, Err: err}
	}
	return nil
}

// plan is a layer before it is written.
type plan struct {
	digest string
	dirs   []planned // parents before what is in them
	hide   []string
}

type planned struct {
	path   string
	empty  bool
	st     unix.Stat_t
	attrs  map[string][]byte
	absent bool
}

// attributes of a directory that are copied: who may do what beyond its mode.
func attributes() []string { return []string{"system.posix_acl_access", "system.posix_acl_default"} }

func newPlan(root string, rules []Rule) (*plan, error) {
	w := newWalker(root)
	p := &plan{}
	seen := map[string]int{}
	var dir func(at string) error
	dir = func(at string) error {
		if _, ok := seen[at]; ok {
			return nil
		}
		if at != "/" {
			if err := dir(path.Dir(at)); err != nil {
				return err
			}
		}
		d := planned{path: at}
		if err := lstat(w.real(at), &d.st); err != nil {
			if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
				return &os.PathError{Op: "lstat", Path: w.real(at), Err: err}
			}
			d.absent, d.st = true, unix.Stat_t{Mode: unix.S_IFDIR | 0o700, Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
		}
		if d.st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return &os.PathError{Op: "hide in", Path: w.real(at), Err: unix.ENOTDIR}
		}
		d.attrs = acl(w.real(at))
		seen[at] = len(p.dirs)
		p.dirs = append(p.dirs, d)
		return nil
	}
	if err := dir("/"); err != nil {
		return nil, err
	}
	for _, r := range rules {
		if !path.IsAbs(r.Path) || r.Path != path.Clean(r.Path) || r.Path == "/" {
			return nil, fmt.Errorf("%q is not a path that can be hidden", r.Path)
		}
		switch r.Kind {
		case Hide:
			if err := dir(path.Dir(r.Path)); err != nil {
				return nil, err
			}
			p.hide = append(p.hide, r.Path)
		case Empty, Apart:
			if err := dir(r.Path); err != nil {
				return nil, err
			}
			p.dirs[seen[r.Path]].empty = r.Kind == Empty
		default:
			return nil, fmt.Errorf("rule of unknown kind %q for %s", r.Kind, r.Path)
		}
	}
	p.sum()
	return p, nil
}

// acl reads the attributes of a directory that are copied; most have none.
func acl(at string) map[string][]byte {
	var out map[string][]byte
	var buf [1024]byte
	for _, name := range attributes() {
		if n, err := unix.Lgetxattr(at, name, buf[:]); err == nil && n > 0 {
			if out == nil {
				out = map[string][]byte{}
			}
			out[name] = slices.Clone(buf[:n])
		}
	}
	return out
}

// sum computes the digest. Times are left out, else every file that somebody makes in his home would ask for a new layer.
func (p *plan) sum() {
	h := sha256.New()
	h.Write([]byte(format))
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, d := range p.dirs {
		field([]byte(d.path))
		fmt.Fprintf(h, "%o %d %d %t;", d.st.Mode, d.st.Uid, d.st.Gid, d.empty)
		for _, name := range attributes() {
			field(d.attrs[name])
		}
	}
	for _, q := range p.hide {
		field([]byte(q))
	}
	p.digest = hex.EncodeToString(h.Sum(nil)[:16])
}

// write makes the layer at home/root.
func (p *plan) write(home string) error {
	root := filepath.Join(home, "root")
	for _, d := range p.dirs {
		if err := os.Mkdir(root+d.path, 0o700); err != nil {
			return err
		}
		if d.empty {
			if err := unix.Setxattr(root+d.path, "user.overlay.opaque", []byte("y"), 0); err != nil {
				return &os.PathError{Op: "setxattr user.overlay.opaque", Path: root + d.path, Err: err}
			}
		}
	}
	if err := p.whiteouts(root); err != nil {
		return err
	}
	for _, d := range slices.Backward(p.dirs) {
		if err := d.dress(root + d.path); err != nil {
			return err
		}
	}
	return nil
}

// whiteouts makes all that is hidden: one device with many names, which is half the work of as many devices.
func (p *plan) whiteouts(root string) error {
	first := ""
	for _, q := range p.hide {
		at := root + q
		if first != "" && unix.Link(first, at) == nil {
			continue
		}
		if err := unix.Mknod(at, unix.S_IFCHR, 0); err != nil {
			return &os.PathError{Op: "mknod 0:0", Path: at, Err: err}
		}
		first = at
	}
	return nil
}

// dress makes a directory look as the host's. Only root can give it away; another's is then his own.
func (d *planned) dress(at string) error {
	if os.Geteuid() == 0 {
		if err := unix.Lchown(at, int(d.st.Uid), int(d.st.Gid)); err != nil && !errors.Is(err, unix.EINVAL) {
			return &os.PathError{Op: "lchown", Path: at, Err: err} // EINVAL: an id that this user name space does not have
		}
	}
	for name, value := range d.attrs {
		if err := unix.Setxattr(at, name, value, 0); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
			return &os.PathError{Op: "setxattr " + name, Path: at, Err: err}
		}
	}
	if err := unix.Chmod(at, d.st.Mode&0o7777); err != nil {
		return &os.PathError{Op: "chmod", Path: at, Err: err}
	}
	if d.absent {
		return nil
	}
	times := []unix.Timespec{d.st.Atim, d.st.Mtim}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, at, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: at, Err: err}
	}
	return nil
}

// forsaken removes what processes left that died while they made or removed a layer.
func forsaken(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "new-") && !strings.HasPrefix(e.Name(), "old-") {
			continue
		}
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > newAge {
			remove(filepath.Join(dir, e.Name()))
		}
	}
}

// remove deletes a layer, also where its directories' modes would forbid it to their owner.
func remove(home string) error {
	_ = filepath.WalkDir(home, func(at string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(at, 0o700)
		}
		return nil
	})
	return os.RemoveAll(home)
}

// Prune removes the layers below dir that nobody asked for since the given time and that inUse, called with a layer's directory as Build
// returned it, denies. The first error is returned after all were tried.
func Prune(dir string, before time.Time, inUse func(layer string) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		fi, ierr := e.Info()
		if ierr != nil || !fi.ModTime().Before(before) {
			continue
		}
		home := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "stamp-"):
			ierr = os.Remove(home)
		case !e.IsDir() || inUse != nil && inUse(filepath.Join(home, "root")):
			continue
		default:
			old := filepath.Join(dir, "old-"+e.Name()) // whole until it has another name
			if ierr = os.Rename(home, old); ierr == nil {
				ierr = remove(old)
			}
		}
		if err == nil && !errors.Is(ierr, fs.ErrNotExist) {
			err = ierr
		}
	}
	return err
}
