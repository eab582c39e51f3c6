package home

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Remove takes a file away, or a directory with all in it, also where its mode forbids that to its
// owner. One that is not there is fine.
func (d *Dir) Remove(name string) error {
	step("remove", name)
	names := []string{name}
	for len(names) > 0 {
		one := names[0]
		names = names[1:]
		names = append(names, d.flatten(one)...)
		if err := d.removeAll(one); err != nil {
			return err
		}
	}
	return nil
}

// deepest is how many directories in each other are removed in one go, and open meanwhile.
const deepest = 100

// flatten moves deep directories of a tree to its top, and returns their new names. Else a user
// that nests directories could use up our open files.
func (d *Dir) flatten(name string) (moved []string) {
	var walk func(root *os.Root, path string, depth int)
	walk = func(root *os.Root, path string, depth int) {
		f, err := root.Open(".")
		if err != nil {
			return // removing it says why
		}
		defer f.Close()
		for {
			entries, err := f.ReadDir(1000)
			for _, e := range entries {
				if !e.IsDir() {
					continue
				}
				at := path + "/" + e.Name()
				if depth == deepest {
					if to := ".removed-" + rand.Text()[:12]; d.root.Rename(at, to) == nil {
						moved = append(moved, to)
					}
				} else if sub, err := root.OpenRoot(e.Name()); err == nil {
					walk(sub, at, depth+1)
					_ = sub.Close()
				}
			}
			if err != nil {
				return
			}
		}
	}
	if i, err := d.root.Lstat(name); err != nil || !i.IsDir() {
		return nil
	}
	if root, err := d.root.OpenRoot(name); err == nil {
		walk(root, name, 1)
		_ = root.Close()
	}
	return moved
}

// removeAll removes name and all below it. If a directory's mode forbids that, it makes them
// writable and tries once more.
func (d *Dir) removeAll(name string) error {
	err := d.root.RemoveAll(name)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// A mode is changed by name, which may become a link at that moment; but it leads nowhere out
	// of the directory.
	_ = fs.WalkDir(d.root.FS(), filepath.ToSlash(filepath.Clean(name)), func(at string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = d.root.Chmod(at, 0o700)
		}
		return nil
	})
	return d.root.RemoveAll(name)
}

// mostNames is how many names at the top are removed.
const mostNames = 1 << 20

// Empty removes the content of the directory, except some names.
func (d *Dir) Empty(keep ...string) error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	for all := 0; ; {
		names, err := f.Readdirnames(1000)
		if all += len(names); all > mostNames {
			return &fs.PathError{Op: "empty", Path: d.Path(), Err: errors.New("it is filled while it is emptied")}
		}
		gone := 0
		for _, name := range names {
			if slices.Contains(keep, name) {
				continue
			}
			if err := d.Remove(name); err != nil {
				return err
			}
			gone++
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case gone > 0: // removal while listing may hide the rest
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
	}
}
