package oldconfig

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// Key is one of a bundle.conf.
type Key struct{ Section, Key, Text string }

// Layout returns a bundle's keys for a bundle.conf and the files of its directory. Files of the
// same name get different names. A script runs whenever the bundle is put on a node. A script that
// fails does not stop later ones.
func (b Bundle) Layout() (keys []Key, content Content) {
	content = Content{}
	var scripts, files []string
	var sections []Key
	used := map[string]bool{}
	for _, s := range b.Scripts {
		name := unused(path.Base(s.Remote), used)
		scripts = append(scripts, name)
		content[path.Join("scripts", name)] = s.Local
		sections = append(sections, Key{"script " + name, "run", "always"})
	}
	used = map[string]bool{}
	for _, f := range b.Files {
		name := unused(path.Base(f.Remote), used)
		files = append(files, f.Remote)
		if name != path.Base(f.Remote) {
			sections = append(sections, Key{"file " + f.Remote, "source", name})
		}
		content[path.Join("files", name)] = f.Local
	}
	if len(scripts) > 0 {
		keys = append(keys, Key{"", "scripts", strings.Join(scripts, ", ")})
	}
	if len(files) > 0 {
		keys = append(keys, Key{"", "files", strings.Join(files, ", ")})
	}
	return append(append(keys, Key{"", "on-error", "continue"}), sections...), content
}

// Content is a file system of single files, by their names in it: where they are here.
type Content map[string]string

// Open opens a file. There are no directories in it.
func (c Content) Open(name string) (fs.File, error) {
	local, ok := c[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := os.OpenFile(local, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is no file")}
	}
	return f, nil
}
