package home

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Dir is a directory that belongs to another user. Names are paths in it, with slashes. It may be
// used from many goroutines.
type Dir struct {
	root     *os.Root
	uid, gid int
}

// Open opens a directory, which must not be a link. Errors are *compute.Error; a missing one is
// ErrNotFound.
func Open(path string) (*Dir, error) {
	fail := func(kind, err error) (*Dir, error) {
		return nil, &compute.Error{Op: "home.Open", ID: compute.ID(path), Kind: kind, Err: err}
	}
	was, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(compute.ErrNotFound, err)
	case err != nil:
		return fail(compute.ErrUnavailable, err)
	case !was.IsDir():
		return fail(compute.ErrInvalid, errors.New("it is no directory"))
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return fail(compute.ErrUnavailable, err)
	}
	is, err := root.Stat(".")
	if err == nil && !os.SameFile(was, is) {
		err = errors.New("it was changed while it was opened")
	}
	if err != nil {
		_ = root.Close()
		return fail(compute.ErrUnavailable, err)
	}
	d := &Dir{root: root}
	d.uid, d.gid = owner(is)
	return d, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Sub opens a directory in the directory, for a caller that has much to do there. If it is missing,
// the error is fs.ErrNotExist.
func (d *Dir) Sub(name string) (*Dir, error) {
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root, uid: d.uid, gid: d.gid}, nil
}

// Path is where the directory was opened.
func (d *Dir) Path() string { return d.root.Name() }

// Owner is the user and the group that the directory belongs to.
func (d *Dir) Owner() (uid, gid uint32) { return uint32(d.uid), uint32(d.gid) }

// Stat is what a name is; of a link, the link.
func (d *Dir) Stat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

// Read is the content of a regular file of most bytes at most. A larger file, or another kind of
// file, is an error; a missing one is fs.ErrNotExist.
func (d *Dir) Read(name string, most int64) ([]byte, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|quiet, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return d.content(f, name, most)
}

// content reads a regular file of at most most bytes; a larger one is an error.
func (d *Dir) content(f *os.File, name string, most int64) ([]byte, error) {
	if i, err := f.Stat(); err != nil {
		return nil, err
	} else if !i.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: d.at(name), Err: errors.New("it is no regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = &fs.PathError{Op: "read", Path: d.at(name), Err: fmt.Errorf("it is larger than the %d bytes that are read of it", most)}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// ReadOur is Read of a file that should be ours. ours says whether it is: no link, without another
// name, and not owned by another user, which may have put it there.
func (d *Dir) ReadOur(name string, most int64) (data []byte, ours bool, err error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|quiet, 0)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if data, err = d.content(f, name, most); err != nil {
		return nil, false, err
	}
	is, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	there, err := d.root.Lstat(name)
	uid, _ := owner(is)
	return data, err == nil && os.SameFile(is, there) && uid == os.Getuid() && links(is) == 1, nil
}

func (d *Dir) at(name string) string { return filepath.Join(d.Path(), name) }

// Write makes a file, or another one in its place, that belongs to the directory's owner. Its
// directory must be there.
func (d *Dir) Write(name string, data []byte, mode fs.FileMode) error {
	return d.write(name, data, mode, d.uid, d.gid)
}

// WriteOur is Write of a file that belongs to us.
func (d *Dir) WriteOur(name string, data []byte, mode fs.FileMode) error {
	return d.write(name, data, mode, os.Getuid(), os.Getgid())
}

// WriteFor is Write of a file for another user: the file is never visible by its name while it is
// ours.
func (d *Dir) WriteFor(name string, data []byte, mode fs.FileMode, uid, gid uint32) error {
	return d.write(name, data, mode, int(uid), int(gid))
}

// write writes a temporary file and renames it. With root, its owner becomes uid and gid.
func (d *Dir) write(name string, data []byte, mode fs.FileMode, uid, gid int) (err error) {
	if i, err := d.root.Lstat(name); err == nil && i.IsDir() {
		return &fs.PathError{Op: "write", Path: d.at(name), Err: errors.New("there is a directory")}
	}
	temp, done := d.tempPath("write", name)
	defer done()
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.root.Remove(temp)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = give(f, uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode) // last: a change of owner takes bits away
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	step("name", name)
	return d.root.Rename(temp, name)
}

// give changes a file's owner, with root's rights only.
func give(f *os.File, uid, gid int) error {
	if os.Getuid() != 0 {
		return nil
	}
	return f.Chown(uid, gid)
}

// Append adds to a regular file. It makes a missing one, with a mode, for the directory's owner. A
// file larger than rotate bytes, unless that is 0, is renamed to NAME.1 first.
func (d *Dir) Append(name string, data []byte, mode fs.FileMode, rotate int64) error {
	for range 3 {
		f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|quiet, mode)
		if err != nil {
			return err
		}
		i, err := f.Stat()
		switch {
		case err != nil:
		case !i.Mode().IsRegular():
			err = &fs.PathError{Op: "append", Path: d.at(name), Err: errors.New("it is no regular file")}
		case rotate > 0 && i.Size() > rotate:
			_ = f.Close()
			step("rotate", name)
			if err := d.root.Rename(name, name+".1"); err != nil {
				return err
			}
			continue
		default:
			if uid, gid := owner(i); uid != d.uid || gid != d.gid {
				if links(i) > 1 { // it may be another user's file by a second name
					err = &fs.PathError{Op: "append", Path: d.at(name), Err: errors.New("it has another name and another owner")}
					break
				}
				err = give(f, d.uid, d.gid)
			}
			if err == nil {
				step("append", name)
				_, err = f.Write(data)
			}
		}
		if e := f.Close(); err == nil {
			err = e
		}
		return err
	}
	return &fs.PathError{Op: "append", Path: d.at(name), Err: errors.New("it grows while it is put aside")}
}

// MakeDir makes a directory and those that it is in, for the owner; one that is there is left as it
// is.
func (d *Dir) MakeDir(name string, mode fs.FileMode) error {
	name = filepath.Clean(name)
	if i, err := d.root.Stat(name); err == nil {
		if !i.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: d.at(name), Err: errors.New("there is something else")}
		}
		return nil
	}
	if up := filepath.Dir(name); up != "." {
		if err := d.MakeDir(up, mode); err != nil {
			return err
		}
	}
	// It gets its name when the owner has it: so a killed process leaves no directory that only
	// root can use.
	temp, done := d.tempPath("mkdir", name)
	defer done()
	err := d.root.Mkdir(temp, 0o700)
	if err == nil {
		if err = d.own(temp, mode); err == nil {
			step("name", name)
			err = d.root.Rename(temp, name)
		}
		if err != nil {
			_ = d.root.Remove(temp)
		}
	}
	if err != nil {
		if i, again := d.root.Stat(name); again == nil && i.IsDir() {
			return nil // another process was first
		}
	}
	return err // so too of a link that leads out
}

// own makes a directory the owner's, with a mode.
func (d *Dir) own(name string, mode fs.FileMode) error {
	f, err := d.root.OpenFile(name, os.O_RDONLY|quiet, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if i, err := f.Stat(); err != nil {
		return err
	} else if !i.IsDir() {
		// its owner has put another file there, perhaps another user's by a second name
		return &fs.PathError{Op: "mkdir", Path: d.at(name), Err: errors.New("it was changed while it was made")}
	}
	if err := give(f, d.uid, d.gid); err != nil {
		return err
	}
	return f.Chmod(mode)
}

// Link makes a symbolic link, or another one in its place, that belongs to the owner. Its target
// may be anywhere: nothing here follows it out.
func (d *Dir) Link(target, name string) error {
	if now, err := d.root.Readlink(name); err == nil && now == target {
		return nil
	}
	temp, done := d.tempPath("link", name)
	defer done()
	if err := d.root.Symlink(target, temp); err != nil {
		return err
	}
	var err error
	if os.Getuid() == 0 {
		err = d.root.Lchown(temp, d.uid, d.gid)
	}
	if err == nil {
		step("name", name)
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		_ = d.root.Remove(temp)
	}
	return err
}

// Readlink is a link's target.
func (d *Dir) Readlink(name string) (string, error) { return d.root.Readlink(name) }

// List is the sorted names in a directory, without unfinished files of killed writers. A missing
// directory is empty. More names than most are an error.
func (d *Dir) List(name string, most int) ([]string, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|quiet, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if i, err := f.Stat(); err != nil {
		return nil, err
	} else if !i.IsDir() {
		return nil, &fs.PathError{Op: "list", Path: d.at(name), Err: errors.New("it is no directory")}
	}
	names, err := f.Readdirnames(most + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > most {
		return nil, &fs.PathError{Op: "list", Path: d.at(name), Err: fmt.Errorf("there are more than %d names", most)}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, tempPrefix) })
	slices.Sort(names)
	return names, nil
}

// Executable reports whether a name is a regular file with an x bit, or a link to one, be it
// elsewhere: releases link to their software like that. It is for callers that run it as the
// directory's owner, by its name.
func (d *Dir) Executable(name string) bool {
	if !filepath.IsLocal(name) {
		return false
	}
	i, err := os.Stat(d.at(name))
	return err == nil && i.Mode().IsRegular() && i.Mode()&0o111 != 0
}

// Same reports whether a file is there with this content and this mode and, if we are root and may
// choose it, this owner. With it, callers write only changed files.
func (d *Dir) Same(name string, data []byte, mode fs.FileMode, uid, gid uint32) bool {
	i, err := d.root.Lstat(name)
	if err != nil || !i.Mode().IsRegular() || i.Mode().Perm() != mode || i.Size() != int64(len(data)) {
		return false
	}
	if u, g := owner(i); os.Getuid() == 0 && (u != int(uid) || g != int(gid)) {
		return false
	}
	now, err := d.Read(name, int64(len(data)))
	return err == nil && bytes.Equal(now, data)
}
