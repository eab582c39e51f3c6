package sandbox

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// bindMounts gathers the mounts that a plan needs.
type bindMounts struct {
	users int // descriptor of the sandbox's user name space, for root; else -1
	fds   []int
	lacks []enter.Lack // places that are missing
}

func (t *bindMounts) close() {
	for _, fd := range t.fds {
		_ = unix.Close(fd)
	}
	t.fds = nil
}

// tree returns a directory or file of the host as a piece's tree. For root it is a mount in which
// the host's users are the sandbox's. An ordinary user's sandbox opens the path itself.
func (t *bindMounts) tree(path string) (enter.Tree, error) {
	if t.users < 0 {
		return enter.Tree{Path: path}, nil
	}
	return t.mount(path, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(t.users), Propagation: unix.MS_PRIVATE}, 0)
}

// mount clones a mount and changes its attributes. The clone must be private: mounts on a peer of
// the host's mount appear on the host, and the host's appear on it.
func (t *bindMounts) mount(path string, attr *unix.MountAttr, recursive uint) (enter.Tree, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if err != nil {
		return enter.Tree{}, &os.PathError{Op: "clone the mount of", Path: path, Err: err}
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|recursive, attr)
	if err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EINVAL) {
			return enter.Tree{}, &compute.Error{Kind: compute.ErrUnavailable,
				Err:  &os.PathError{Op: "map the users of", Path: path, Err: err},
				Hint: "its file system has no id-mapped mounts; use hostler as an ordinary user, or an image on another file system"}
		}
		return enter.Tree{}, &os.PathError{Op: "change the mount of", Path: path, Err: err}
	}
	t.fds = append(t.fds, fd)
	return enter.Tree{FD: len(t.fds)}, nil
}

// host composes a root of the host's own files, seen through a layer that hides the rest.
type host struct {
	t      *bindMounts
	hidden *hidden
	mounts []mask.Mount
	home   string
	pieces []enter.Piece
}

// hostPieces returns the pieces of the host's own root.
func (t *bindMounts) hostPieces(hidden *hidden, home string) ([]enter.Piece, error) {
	h := &host{t: t, hidden: hidden, mounts: hidden.mounts, home: home}
	if !hidden.Shows("/") {
		h.dirs(home)
	}
	for _, s := range hidden.Shown {
		if err := h.show(s); err != nil {
			return nil, err
		}
	}
	return h.pieces, nil
}

// dirs makes the directories that are there but empty, and the links that lead to shown places.
func (h *host) dirs(home string) {
	for _, d := range []struct {
		path string
		mode int64
	}{{"/run", 0o755}, {"/run/lock", 0o1777}, {"/tmp", 0o1777}, {"/var/tmp", 0o1777}, {"/var/log", 0o755},
		{"/var/cache", 0o755}, {"/var/spool", 0o755}, {"/root", 0o700},
		{"/home", 0o755}, {"/media", 0o755}, {"/mnt", 0o755}, {"/opt", 0o755}, {"/srv", 0o755}} {
		h.pieces = append(h.pieces, enter.Piece{At: d.path, Kind: enter.Dir, Mode: d.mode})
	}
	links := map[string]string{"/var/run": "../run", "/var/lock": "../run/lock"}
	for from, to := range h.hidden.Links {
		if !h.hidden.Shows(from) {
			links[from] = to
		}
	}
	for _, from := range slices.Sorted(maps.Keys(links)) {
		h.pieces = append(h.pieces, enter.Piece{At: from, Kind: enter.Link, Target: links[from]})
	}
	if home != "" && home != "/" && !h.hidden.Shows(home) {
		h.pieces = append(h.pieces, enter.Piece{At: home, Kind: enter.Dir, Mode: modeOf(home)})
	}
}

// vital are the places without which there is no system: if one of them is missing the sandbox is
// refused.
var vital = []string{"/", "/usr", "/etc", "/bin", "/sbin", "/lib"}

// show adds a place, with the mounts in it.
func (h *host) show(s mask.Shown) error {
	if !s.Asked && !slices.Contains(vital, s.Path) && !below(s.Path, h.home) {
		if first, second := h.second(s.Path); second {
			h.t.lacks = append(h.t.lacks, enter.Lack{At: s.Path, Why: "what is mounted there is " + first + ", which is not shown"})
			return nil
		}
	}
	fi, err := os.Lstat(s.Path)
	switch {
	case err != nil:
		return nil // it has gone just now
	case fi.Mode().IsRegular():
		tree, err := h.t.tree(s.Path)
		if err == nil {
			h.pieces = append(h.pieces, enter.Piece{At: s.Path, Kind: enter.Bind, Layers: []enter.Tree{tree}, Optional: true})
		}
		return err
	case !fi.IsDir():
		return nil
	case h.t.users < 0:
		return h.cover(s.Path)
	}
	paths := []string{s.Path}
	for _, m := range h.mounts {
		if m.Path != s.Path && below(m.Path, s.Path) && h.mounted(m) {
			paths = append(paths, m.Path)
		}
	}
	slices.Sort(paths) // a place comes after the place that contains it
	for _, path := range paths {
		if err := h.over(path); err != nil {
			return err
		}
	}
	return nil
}

// over lays a private layer over a directory, with the layer that hides things in between.
func (h *host) over(path string) error {
	p := enter.Piece{At: path, Kind: enter.Overlay, Optional: !slices.Contains(vital, path)}
	for _, dir := range []string{h.hidden.layer(path), path} {
		if dir == "" {
			continue
		}
		tree, err := h.t.tree(dir)
		if err != nil {
			if p.Optional && h.t.users >= 0 {
				// a file system without id-mapped mounts: its place is empty
				h.t.lacks = append(h.t.lacks, enter.Lack{At: path, Why: err.Error()})
				h.pieces = append(h.pieces, enter.Piece{At: path, Kind: enter.Dir, Mode: 0o755})
				return nil
			}
			return err
		}
		p.Layers = append(p.Layers, tree)
	}
	h.pieces = append(h.pieces, p)
	return nil
}

// second reports whether a path shows the content of an earlier mount that is not shown, and which.
func (h *host) second(path string) (string, bool) {
	first, second := mask.Second(h.mounts, path)
	return first, second && !h.hidden.Shows(first)
}

// mounted reports whether a mount in a shown place is shown too: it is a directory of a disk, and
// no second way to something hidden.
func (h *host) mounted(m mask.Mount) bool {
	if !slices.Contains(mask.Disks, m.Kind) || h.hidden.hides(m.Path) {
		return false
	}
	if fi, err := os.Stat(m.Path); err != nil || !fi.IsDir() {
		return false
	}
	first, second := h.second(m.Path)
	if !second || h.hidden.asked(m.Path) {
		return true
	}
	h.t.lacks = append(h.t.lacks, enter.Lack{At: m.Path, Why: "what is mounted there is " + first + ", which is not shown"})
	return false
}

// bare turns overlays into writable binds of their bottom layer: for tests, which show what the
// layers are good for.
func bare(pieces []enter.Piece) {
	for i := range pieces {
		if p := &pieces[i]; p.Kind == enter.Overlay {
			p.Kind, p.Layers, p.Writable = enter.Bind, p.Layers[len(p.Layers)-1:], true
		}
	}
}

// cover puts overlays over the parts of a directory that have no mount below them. An ordinary user
// may not look below mounts, so the kernel refuses an overlay over them. The directories between
// are made again, in memory.
func (h *host) cover(dir string) error {
	if !slices.ContainsFunc(h.mounts, func(m mask.Mount) bool { return m.Path != dir && below(m.Path, dir) }) {
		return h.over(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nothing there that the user may see
	}
	if dir != "/" {
		h.pieces = append(h.pieces, enter.Piece{At: dir, Kind: enter.Dir, Mode: 0o755})
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if h.hidden.hides(path) {
			if h.hidden.is(path, mask.Empty) {
				h.pieces = append(h.pieces, enter.Piece{At: path, Kind: enter.Dir, Mode: modeOf(path)})
			}
			continue
		}
		switch {
		case e.Type()&os.ModeSymlink != 0:
			if target, err := os.Readlink(path); err == nil {
				h.pieces = append(h.pieces, enter.Piece{At: path, Kind: enter.Link, Target: target})
			}
		case e.IsDir():
			if i := slices.IndexFunc(h.mounts, func(m mask.Mount) bool { return m.Path == path }); i >= 0 && !h.mounted(h.mounts[i]) {
				h.pieces = append(h.pieces, enter.Piece{At: path, Kind: enter.Dir, Mode: 0o755})
				continue
			}
			if err := h.cover(path); err != nil {
				return err
			}
		case e.Type().IsRegular():
			h.pieces = append(h.pieces, enter.Piece{At: path, Kind: enter.Bind, Layers: []enter.Tree{{Path: path}}, Optional: true})
		}
	}
	return nil
}

// modeOf returns a directory's mode, for an empty one in its place.
func modeOf(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0o755
	}
	m := int64(fi.Mode().Perm())
	if fi.Mode()&os.ModeSticky != 0 {
		m |= unix.S_ISVTX
	}
	return m
}
