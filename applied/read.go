package applied

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// ReadDir reads the things that a directory has: sources/NAME, bundles/NAME and projects/NAME, as a directory of configuration has them. Links count as long as
// they lead to files within it. left names what configuration may have, and nobody applies.
func ReadDir(dir string) (things []api.WantedThing, left []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", dir, err), Hint: "-f names a directory with sources/, bundles/ or projects/ in it"}
	}
	defer root.Close()
	r := reading{root: root, dir: dir}
	found := false
	for _, k := range kinds {
		entries, err := r.list(k.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, r.wrong(k.dir, err)
		}
		found = true
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			t := api.WantedThing{Kind: k.name, Name: e.Name(), Files: []api.ThingFile{}}
			if err := CheckName(t.Kind, t.Name); err != nil {
				return nil, nil, err
			}
			path := k.dir + "/" + e.Name()
			if info, err := root.Stat(path); err != nil || !info.IsDir() {
				return nil, nil, r.wrong(path, errors.New("is not a directory with a "+k.file))
			}
			if t.Files, err = r.files(path, ""); err != nil {
				return nil, nil, err
			}
			if _, err := normal(t); err != nil {
				return nil, nil, err
			}
			things = append(things, t)
		}
	}
	for _, name := range []string{"hostler.conf", "jobs"} {
		if _, err := root.Stat(name); err == nil {
			left = append(left, name)
		}
	}
	if !found {
		return nil, nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: there is neither sources/ nor bundles/ nor projects/ in it", dir), Hint: "an empty sources/ says that there are to be none"}
	}
	return things, left, nil
}

// reading is a directory while it is read.
type reading struct {
	root *os.Root
	dir  string
	size int64
	many int
}

func (r *reading) wrong(path string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", filepath.Join(r.dir, path), err)}
}

func (r *reading) list(path string) ([]fs.DirEntry, error) {
	return fs.ReadDir(r.root.FS(), path)
}

// files reads those of a thing, below a path of it.
func (r *reading) files(top, below string) (out []api.ThingFile, err error) {
	at := strings.TrimSuffix(top+"/"+below, "/")
	entries, err := r.list(at)
	if err != nil {
		return nil, r.wrong(at, err)
	}
	for _, e := range entries {
		name := e.Name()
		if name == ".git" || strings.HasPrefix(name, "..") { // of Kubernetes, which shows a ConfigMap so
			continue
		}
		path := strings.TrimPrefix(below+"/"+name, "/")
		if e.IsDir() {
			more, err := r.files(top, path)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
			continue
		}
		f, err := r.file(top+"/"+path, path)
		if err != nil {
			return nil, r.wrong(top+"/"+path, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// file reads one. It does not wait for the other end of a named pipe.
func (r *reading) file(path, name string) (f api.ThingFile, err error) {
	in, err := r.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return f, err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return f, err
	case !info.Mode().IsRegular():
		return f, errors.New("is neither a file nor a directory")
	}
	data, err := io.ReadAll(io.LimitReader(in, MaxThing+1))
	if err != nil {
		return f, err
	}
	if r.size += int64(len(data)); r.size > MaxSet {
		return f, fmt.Errorf("with it the directory holds more than %d MiB", MaxSet>>20)
	}
	if r.many++; r.many > maxThings {
		return f, fmt.Errorf("with it the directory holds more than %d files", maxThings)
	}
	return NewFile(name, info.Mode(), data), nil
}
