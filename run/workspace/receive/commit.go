package receive

import (
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// commit carries out the plan. After an interruption the next session sees the mark and goes on.
func (v *session) commit(p *plan) error {
	l := &list{id: p.id, records: p.records}
	if p.idle() && !v.have.cut && v.have.id == p.id {
		v.got.close(v.meta) // the received contents were not needed
		return nil
	}
	if !p.idle() {
		if err := recordPending(v.meta, p.parts()); err != nil {
			return err
		}
		if err := v.c.fault("begun"); err != nil {
			return err
		}
		if err := v.change(p); err != nil {
			return err
		}
	}
	b, err := l.marshal()
	if err != nil {
		return err
	}
	if err := v.c.fault("list"); err != nil {
		return err
	}
	if err := writeFile(v.meta, listFile, b); err != nil {
		return err
	}
	if err := clearPending(v.meta); err != nil {
		return err
	}
	v.c.cacheList(l)
	v.got.close(v.meta)
	return nil
}

func (v *session) change(p *plan) error {
	if p.clean {
		if err := v.sweep(p); err != nil {
			return err
		}
	}
	if err := v.remove(p.removes); err != nil {
		return err
	}
	if err := v.c.fault("removed"); err != nil {
		return err
	}
	stage, done := -1, func() {}
	if v.got.stage != nil {
		var err error
		if stage, done, err = descriptor(v.got.stage, "."); err != nil {
			return err
		}
	}
	defer done()
	for _, i := range p.writes {
		if e := &p.want[i]; e.Kind == scan.File && v.got.memory[e.Sum] == nil {
			v.got.uses[e.Sum]++
		}
	}
	if err := parallel(len(p.writes), func(lo, hi int) error {
		d := dirs{top: v.tree, owner: v.owner}
		defer d.close()
		for _, i := range p.writes[lo:hi] {
			if err := errors.Join(v.ctx.Err(), v.write(&d, stage, &p.records[i])); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	d := dirs{top: v.tree}
	defer d.close()
	for _, i := range p.touches {
		if err := v.owner.touch(&d, &p.records[i]); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes paths of the last list, and the directories that become empty.
func (v *session) remove(paths []string) error {
	d := dirs{top: v.tree}
	defer d.close()
	for _, p := range slices.Backward(paths) { // files before their directory
		fd, base, err := d.parent(p)
		if absent(err) {
			continue
		}
		if err != nil {
			return err
		}
		if rec := v.have.find(p); rec != nil && rec.Kind == scan.Dir {
			_ = unix.Unlinkat(fd, base, unix.AT_REMOVEDIR) // one with files in it stays
			continue
		}
		err = writable(fd, func() error { return unix.Unlinkat(fd, base, 0) })
		switch {
		case errors.Is(err, unix.ENOENT):
		case errors.Is(err, unix.EISDIR), errors.Is(err, unix.EPERM):
			if _, st, serr := lookAt(fd, base); serr == nil && kindOf(st) == scan.Dir {
				continue // a command has replaced it: keep that
			}
			return pathError("remove", p, err)
		case err != nil:
			return pathError("remove", p, err)
		}
	}
	above := make(map[string]bool)
	for _, p := range paths {
		for dir := path.Dir(p); dir != "." && !above[dir]; dir = path.Dir(dir) {
			above[dir] = true
		}
	}
	for _, dir := range slices.Backward(slices.Sorted(maps.Keys(above))) {
		if fd, base, err := d.parent(dir); err == nil {
			_ = unix.Unlinkat(fd, base, unix.AT_REMOVEDIR) // one with something in it stays
		}
	}
	return nil
}

// sweep removes all files that are not on the list.
func (v *session) sweep(p *plan) error {
	keep := make(map[string]scan.Kind, len(p.want))
	for i := range p.want {
		e := &p.want[i]
		keep[e.Path] = e.Kind
		for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
			if keep[dir] == scan.Dir {
				break
			}
			keep[dir] = scan.Dir
		}
	}
	return v.sweepDir(v.tree, "", keep)
}

// sweepDir removes all below fd that keep does not name, or names as another kind: a directory
// for a file or the other way.
func (v *session) sweepDir(fd int, dir string, keep map[string]scan.Kind) error {
	all, err := names(fd)
	if err != nil {
		return pathError("read", dir, err)
	}
	for _, n := range all {
		at := path.Join(dir, n)
		if keep[at] == scan.Dir {
			sub, err := openAt(fd, n, openDir)
			if err == nil {
				err = v.sweepDir(sub, at, keep)
				_ = unix.Close(sub)
			}
			if err == nil || !absent(err) {
				if err != nil {
					return err
				}
				continue
			}
		} else if _, ok := keep[at]; ok {
			if _, st, err := lookAt(fd, n); err == nil && kindOf(st) != scan.Dir {
				continue
			}
		}
		if err := removeAll(fd, n); err != nil {
			return pathError("remove", at, err)
		}
	}
	return nil
}

// write puts a file, a link or a directory in place, and records its state on disk.
func (v *session) write(d *dirs, stage int, rec *record) error {
	fd, base, err := d.makeParent(rec.Path)
	if err != nil {
		return err
	}
	switch rec.Kind {
	case scan.Dir:
		_, err = d.open(rec.Path, true)
	case scan.Link:
		err = v.got.place(stage, fd, base, func(name string) error {
			if err := unix.Symlinkat(rec.Target, stage, name); err != nil {
				return err
			}
			return v.owner.ofLink(stage, name)
		})
	default:
		err = v.writeFile(stage, fd, base, rec)
	}
	if err != nil {
		return pathError("write", rec.Path, err)
	}
	if rec.Kind != scan.Dir {
		rec.look, _, err = lookAt(fd, base)
	}
	return pathError("write", rec.Path, err)
}

// place creates a file in the stage and moves it into place.
func (g *contents) place(stage, fd int, base string, create func(name string) error) error {
	name := g.name()
	err := create(name)
	if err == nil {
		err = move(stage, name, fd, base)
	}
	if err != nil {
		_ = unix.Unlinkat(stage, name, 0)
	}
	return err
}

// move renames a staged file to its place, and removes an empty directory that is in its way.
func move(stage int, name string, fd int, base string) error {
	rename := func() error {
		return writable(fd, func() error { return unix.Renameat(stage, name, fd, base) })
	}
	err := rename()
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTDIR) {
		if err = removeEmpty(fd, base); err == nil {
			err = rename()
		}
	}
	return err
}

// removeEmpty removes a directory that holds only empty directories.
func removeEmpty(fd int, base string) error {
	sub, err := openAt(fd, base, openDir)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(sub) }()
	all, err := names(sub)
	if err != nil {
		return err
	}
	for _, n := range all {
		if err := removeEmpty(sub, n); err != nil {
			return err
		}
	}
	return unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
}

// writeFile puts a file in place. Staged contents are moved at their last use, and copied before.
func (v *session) writeFile(stage, fd int, base string, rec *record) error {
	if b := v.got.memory[rec.Sum]; b != nil || rec.Sum == nothing {
		return v.got.place(stage, fd, base, func(name string) error {
			n, err := unix.Openat(stage, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
			if err != nil {
				return err
			}
			for len(b) > 0 && err == nil {
				var k int
				if k, err = unix.Write(n, b); err == unix.EINTR {
					err = nil
				}
				b = b[max(k, 0):]
			}
			if err == nil {
				err = v.owner.dress(n, stage, name, rec)
			}
			return errors.Join(err, unix.Close(n))
		})
	}
	g := &v.got
	name := hex.EncodeToString(rec.Sum[:])
	g.mu.Lock()
	f, err := openFile(stage, name)
	g.uses[rec.Sum]--
	last := g.uses[rec.Sum] == 0
	g.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if last {
		if err := v.owner.dress(int(f.Fd()), stage, name, rec); err != nil {
			return err
		}
		return move(stage, name, fd, base)
	}
	return v.got.place(stage, fd, base, func(name string) error {
		n, err := unix.Openat(stage, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		to := os.NewFile(uintptr(n), name)
		_, err = io.Copy(to, f) // the kernel copies, and shares blocks where it can
		if err == nil {
			err = v.owner.dress(n, stage, name, rec)
		}
		return errors.Join(err, to.Close())
	})
}

// dress sets owner, mode and time of an open file that has a name in an open directory.
func (o *owner) dress(fd, dir int, name string, rec *record) error {
	if err := o.of(fd); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, rec.Mode); err != nil {
		return err
	}
	at := unix.NsecToTimespec(rec.ModTime)
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// touch sets owner, mode and time of a file that is in place.
func (o *owner) touch(d *dirs, rec *record) error {
	fd, base, err := d.parent(rec.Path)
	if err != nil || rec.Kind != scan.File {
		return err
	}
	f, err := openFile(fd, base)
	if err != nil {
		return pathError("open", rec.Path, err)
	}
	defer func() { _ = f.Close() }()
	if err := o.dress(int(f.Fd()), fd, base, rec); err != nil {
		return pathError("touch", rec.Path, err)
	}
	rec.look, _, err = lookAt(fd, base)
	return pathError("touch", rec.Path, err)
}
