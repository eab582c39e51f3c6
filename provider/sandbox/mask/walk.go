//go:build linux

package mask

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// what is the kind of file at a path.
type what byte

const (
	isMissing what = iota // or it cannot be seen
	isDir
	isLink
	isOther
	isBlocked // an element above it is no directory
	isLoop    // too many symbolic links
)

// maxLinks is how many symbolic links are followed on the way to one path, as the kernel does it.
const maxLinks = 40

// walker looks paths up below a root, follows links as a process with that root would, and
// remembers the directories in which it looked. It is for one goroutine.
type walker struct {
	root string
	dirs map[string]dirSign // by path inside
	// what is in the directories that are small enough to be read as a whole
	listed map[string]map[string]what
	kinds  map[string]what  // what was looked for in others
	places map[string]found // where directories on the way really are
}

// found is what find returns.
type found struct {
	place string
	what  what
}

func newWalker(root string) *walker {
	return &walker{path.Clean(root), map[string]dirSign{}, map[string]map[string]what{}, map[string]what{}, map[string]found{}}
}

// real returns a path as seen from outside of root.
func (w *walker) real(p string) string {
	if w.root == "/" {
		return p
	}
	return w.root + p
}

// find follows p to its end and returns what is there; it follows a link at the end only if follow.
// When a part is missing, place is the first missing one.
func (w *walker) find(p string, follow bool) (place string, _ what, err error) {
	if p == "/" {
		return p, isDir, nil
	}
	dir, name := path.Split(p)
	at, ok := w.places[dir]
	if !ok {
		at.place, at.what, err = w.walk(dir, true)
		if err != nil {
			return at.place, at.what, err
		}
		w.places[dir] = at
	}
	if at.what == isOther {
		at.what = isBlocked
	}
	if at.what != isDir {
		return at.place, at.what, nil
	}
	next := path.Join(at.place, name)
	k, err := w.look(at.place, next)
	if k == isLink && follow {
		return w.walk(p, true)
	}
	return next, k, err
}

// walk is find without the memory of directories.
func (w *walker) walk(p string, follow bool) (place string, _ what, err error) {
	todo := elements(p)
	place = "/"
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			place = path.Dir(place)
			continue
		}
		next := path.Join(place, name)
		k, err := w.look(place, next)
		if err != nil {
			return next, k, err
		}
		switch {
		case k == isMissing:
			return next, isMissing, nil
		case k == isLink && (len(todo) > 0 || follow):
			if links++; links > maxLinks {
				return next, isLoop, nil
			}
			target, err := os.Readlink(w.real(next))
			if err != nil {
				return next, isMissing, nil // it changed under our eyes, or may not be read
			}
			if path.IsAbs(target) {
				place = "/"
			}
			todo = append(elements(target), todo...)
			continue
		case k == isOther && len(todo) > 0:
			return next, isBlocked, nil
		case len(todo) == 0:
			return next, k, nil
		}
		place = next
	}
	return place, isDir, nil
}

// links is find to the end, and notes each link on the way with where it leads.
func (w *walker) links(p string, into map[string]string) (place string, k what, err error) {
	todo := elements(p)
	place = "/"
	k = isDir
	for n := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			place = path.Dir(place)
			continue
		}
		next := path.Join(place, name)
		if k, err = w.look(place, next); err != nil {
			return next, k, err
		}
		switch {
		case k == isLink:
			target, err := os.Readlink(w.real(next))
			if n++; err != nil || n > maxLinks {
				return next, isLoop, nil
			}
			into[next] = target
			if path.IsAbs(target) {
				place = "/"
			}
			todo = append(elements(target), todo...)
			continue
		case k == isMissing:
			return next, k, nil
		case k == isOther && len(todo) > 0:
			return next, isBlocked, nil
		}
		place = next
	}
	return place, k, nil
}

// canonical returns p with the links on the way to its last element followed, also where the rest
// of it is not there.
func (w *walker) canonical(p string) (string, error) {
	if p == "/" {
		return p, nil
	}
	dir, name := path.Dir(p), path.Base(p)
	place, k, err := w.find(dir, true)
	if err == nil && k != isDir {
		place, err = w.canonical(dir)
	}
	return path.Join(place, name), err
}

// elements splits a path, without cleaning its .. : after a link they mean something else.
func elements(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

// maxListed is the size of a directory above which single names are looked up; on usual file
// systems some thousands of names.
const maxListed = 128 << 10

// list reads a directory, unless it is too big or may not be read.
func (w *walker) list(dir string) map[string]what {
	names, ok := w.listed[dir]
	if ok {
		return names
	}
	w.note(dir) // before it is read
	if s := w.dirs[dir]; s.there && s.size <= maxListed {
		if entries, err := readNames(w.real(dir)); err == nil {
			names = make(map[string]what, len(entries))
			for _, e := range entries {
				switch t := e.Type(); {
				case t == fs.ModeSymlink:
					names[e.Name()] = isLink
				case t == fs.ModeDir:
					names[e.Name()] = isDir
				default:
					names[e.Name()] = isOther
				}
			}
		}
	}
	w.listed[dir] = names
	return names
}

// readNames is os.ReadDir without its sorting.
func readNames(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// look says what p, an entry of dir, is.
func (w *walker) look(dir, p string) (what, error) {
	if names := w.list(dir); names != nil {
		return names[path.Base(p)], nil
	}
	if k, ok := w.kinds[p]; ok {
		return k, nil
	}
	var st unix.Stat_t
	k := isOther
	switch err := lstat(w.real(p), &st); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOTDIR):
		k = isMissing
	case err != nil:
		return 0, &os.PathError{Op: "lstat", Path: w.real(p), Err: err}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		k = isDir
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		k = isLink
	}
	w.kinds[p] = k
	return k, nil
}

// match returns the entries of a directory that match a pattern, and nil when there is no
// directory.
func (w *walker) match(dir, pattern string) ([]string, error) {
	place, k, err := w.find(dir, true)
	if err != nil || k == isMissing {
		return nil, err
	}
	names := []string{} // not nil: it is there
	if k != isDir {
		return names, nil
	}
	all := w.list(place)
	if all == nil {
		entries, err := readNames(w.real(place))
		if err != nil && !errors.Is(err, os.ErrPermission) {
			return nil, err
		}
		all = map[string]what{}
		for _, e := range entries {
			all[e.Name()] = isOther
		}
	}
	for name := range all {
		if ok, _ := path.Match(pattern, name); ok {
			names = append(names, name)
		}
	}
	if plain, ok := strings.CutSuffix(pattern, "*"); ok && !strings.Contains(plain, "*") {
		names = append(names, plain) // the usual name, also if it is not there yet
	}
	return names, nil
}

// note remembers what a directory looks like.
func (w *walker) note(dir string) {
	if _, ok := w.dirs[dir]; ok {
		return
	}
	s, _ := sign(w.real(dir))
	s.path = dir
	w.dirs[dir] = s
}

// signs returns the directories in which something was looked for, sorted by path.
func (w *walker) signs() []dirSign {
	out := make([]dirSign, 0, len(w.dirs))
	for _, s := range w.dirs {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b dirSign) int { return strings.Compare(a.path, b.path) })
	return out
}

// lstat retries what a signal interrupted.
func lstat(p string, st *unix.Stat_t) error {
	for {
		if err := unix.Lstat(p, st); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
