package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hostler-project/hostler/text/units"
)

// Root is a directory that configuration is read from.
type Root struct {
	Path string
	// "flag", "env", "user", "tree", "system", "crcache-user", "crcache-tree" or AppliedKind
	Kind   string
	Exists bool
	Tree   bool  // it came with a tree of files, so it needs approval
	Err    error // why it exists and cannot be read; nil: it can
}

// AppliedKind is the kind of the root with applied things.
const AppliedKind = "applied"

// appliedRoot returns that root.
func appliedRoot(path string) Root {
	info, err := os.Stat(path)
	return Root{Path: path, Kind: AppliedKind, Exists: err == nil && info.IsDir()}
}

func (r *Root) crcache() bool { return r.Kind == "crcache-user" || r.Kind == "crcache-tree" }

// findRoots lists the roots in order, also missing ones.
func findRoots(opt *LoadOptions) ([]Root, error) {
	dir, err := filepath.Abs(opt.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Msg: "the current directory is gone"}
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &Error{File: dir, Msg: "is not a directory"}
	}
	var roots []Root
	add := func(kind, path string) {
		if path, err = filepath.Abs(path); err != nil {
			return
		}
		if slices.ContainsFunc(roots, func(r Root) bool { return r.Path == path }) {
			return
		}
		info, err := os.Stat(path)
		r := Root{Path: path, Kind: kind, Tree: kind == "tree" || kind == "crcache-tree"}
		r.Exists = err == nil && info.IsDir()
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			r.Err = &Error{File: path, Err: withoutPath(err)}
		}
		roots = append(roots, r)
	}
	if !opt.Compat {
		for _, d := range opt.Dirs {
			add("flag", d)
		}
		if opt.ConfigDir != "" {
			add("flag", opt.ConfigDir)
			if !roots[len(roots)-1].Exists {
				return nil, &Error{File: opt.ConfigDir, Msg: "is not a directory"}
			}
		}
		if d := opt.Env("HOSTLER_CONFIG"); d != "" {
			add("env", d)
		}
		// the XDG specification says to ignore a relative path
		if d := opt.Env("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
			add("user", filepath.Join(d, "hostler"))
		} else if opt.Home != "" {
			add("user", filepath.Join(opt.Home, ".config", "hostler"))
		}
		for d := dir; ; d = filepath.Dir(d) {
			path := filepath.Join(d, ".hostler")
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				add("tree", path)
				break
			}
			if d == filepath.Dir(d) {
				break
			}
		}
		add("system", opt.System)
	}
	if opt.Home != "" {
		add("crcache-user", filepath.Join(opt.Home, ".config", "crcache"))
	}
	add("crcache-tree", filepath.Join(dir, ".crcache"))
	return roots, nil
}

// rootDir reads the files of one root. In a tree, links cannot leave it.
type rootDir struct {
	path string
	root *os.Root // for a tree; nil: links may lead anywhere
}

// openPlace opens a root for reading. Only a tree has a directory that links cannot leave.
func openPlace(r *Root) (*rootDir, error) {
	p := &rootDir{path: r.Path}
	if r.Tree {
		var err error
		if p.root, err = os.OpenRoot(r.Path); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *rootDir) close() {
	if p.root != nil {
		p.root.Close()
	}
}

// open opens a file without waiting for the other end of a named pipe.
func (p *rootDir) open(name string) (*os.File, error) {
	if p.root != nil {
		return p.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	return os.OpenFile(filepath.Join(p.path, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// read returns a regular file of at most limit bytes.
func (p *rootDir) read(name string, limit int64) ([]byte, error) {
	f, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readRegular(f, limit)
}

// readRegular reads a regular file of at most limit bytes. Its errors do not name the file.
func readRegular(f *os.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, errors.New("is larger than " + units.FormatSize(limit))
	}
	return data, err
}

// list returns a directory's entries by name.
func (p *rootDir) list(name string) ([]fs.DirEntry, error) {
	f, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		if a.Name() < b.Name() {
			return -1
		}
		return 1
	})
	return entries, err
}

func (p *rootDir) stat(name string) (fs.FileInfo, error) {
	if p.root != nil {
		return p.root.Stat(name)
	}
	return os.Stat(filepath.Join(p.path, name))
}

// withoutPath removes operation and path from an error, as the caller adds the path.
func withoutPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
