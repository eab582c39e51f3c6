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
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// format is part of every digest: change it with the form of a layer.
const format = "hostler mask 3\n"

// newAge is the age at which an incomplete layer counts as a dead process's, and a pruned one is
// deleted.
const newAge = time.Hour

// unwanted is the time without a request after which a layer is pruned. Each new layer prunes, so
// there are never many.
const unwanted = 24 * time.Hour

// lockName is the file beside a layer that each user of the layer holds locked.
const lockName = "lock"

// build returns the directory of the layer for the rules, below dir, and makes it if need be:
// completely or not at all, in any number of processes. Its name is the digest of the rules and of
// the metadata of the host's directories in it, below root ("": "/"). dir is made if it is missing;
// it must belong to the caller and to nobody else.
func build(ctx context.Context, dir, root string, rules []Rule) (layer string, err error) {
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
	_ = Prune(dir, time.Now().Add(-unwanted)) // what cannot be removed takes a few kilobytes
	return filepath.Join(home, "root"), nil
}

// Hold keeps Prune from a layer that Make or Build returned, while any process has the descriptor
// open. Hold a layer for as long as it lies over something: without it all that it hides would
// show. fs.ErrNotExist: it was pruned just now, so make it again. Close the descriptor.
func Hold(layer string) (int, error) {
	name := filepath.Join(filepath.Dir(layer), lockName)
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	var held, there unix.Stat_t
	err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		err = errors.Join(unix.Fstat(fd, &held), lstat(name, &there))
	}
	if err == nil && (held.Ino != there.Ino || held.Dev != there.Dev) || errors.Is(err, unix.EWOULDBLOCK) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, &os.PathError{Op: "hold", Path: name, Err: err}
	}
	return fd, nil
}

// own makes dir if need be, and fails unless it belongs to the caller and nobody else may write it.
func own(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, who can have made it to do harm: let root see what it is and remove "+
			"it, or set XDG_RUNTIME_DIR to a "+
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

// attributes returns the attributes of a directory that are copied: its access lists.
func attributes() []string { return []string{"system.posix_acl_access", "system.posix_acl_default"} }

// newPlan works out the layer for the rules, from the metadata of the host's directories in it.
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

// sum computes the digest. Times are left out: otherwise every new file in a home directory would
// ask for a new layer.
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
	if err := os.WriteFile(filepath.Join(home, lockName), nil, 0o600); err != nil {
		return err
	}
	for _, d := range slices.Backward(p.dirs) {
		if err := d.dress(root + d.path); err != nil {
			return err
		}
	}
	return nil
}

// whiteouts makes all whiteouts as one device with many names, which is half the work of many
// devices.
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

// dress makes a directory look as the host's. Only root can give it away; an ordinary user keeps
// it.
func (d *planned) dress(at string) error {
	if os.Geteuid() == 0 {
		if err := unix.Lchown(at, int(d.st.Uid), int(d.st.Gid)); err != nil && !errors.Is(err, unix.EINVAL) {
			// EINVAL: an id that this user name space does not have
			return &os.PathError{Op: "lchown", Path: at, Err: err}
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

// forsaken removes the remains of processes that died while they made or removed a layer.
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

// Prune removes the layers below dir that nobody has asked for since the given time and that nobody
// holds. It puts them aside. The next build, an hour later at the earliest, deletes them, because a
// process may release its lock a moment before its last use. Prune tries all of them, then returns
// the first error.
func Prune(dir string, before time.Time) error {
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
		case !e.IsDir() || strings.HasPrefix(e.Name(), "new-") || strings.HasPrefix(e.Name(), "old-"):
			continue
		default:
			ierr = aside(home, before)
		}
		if err == nil && !errors.Is(ierr, fs.ErrNotExist) {
			err = ierr
		}
	}
	return err
}

// aside renames a layer that nobody holds. One without a lock file, an earlier hostler's, stays.
func aside(home string, before time.Time) error {
	fd, err := unix.Open(filepath.Join(home, lockName), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: home, Err: err}
	}
	defer unix.Close(fd) // and till then nobody can hold it
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // somebody holds it
	}
	// a request came just now
	if fi, err := os.Lstat(home); err != nil || !fi.ModTime().Before(before) {
		return err
	}
	old := filepath.Join(filepath.Dir(home), "old-"+filepath.Base(home)+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err := os.Rename(home, old); err != nil {
		return err
	}
	return use(old) // now its time is when that was
}
