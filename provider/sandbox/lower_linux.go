package sandbox

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// trees gathers the mounts that go along with a plan.
type trees struct {
	users int // descriptor of the sandbox's user name space, for root; else -1
	fds   []int
	lacks []enter.Lack // what could not be had
}

func (t *trees) close() {
	for _, fd := range t.fds {
		_ = unix.Close(fd)
	}
	t.fds = nil
}

// tree returns a directory or file of the host's as a piece's tree. For root it is a mount of its own in which the host's users are the sandbox's;
// an ordinary user's sandbox opens it itself.
func (t *trees) tree(path string) (enter.Tree, error) {
	if t.users < 0 {
		return enter.Tree{Path: path}, nil
	}
	return t.mount(path, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(t.users), Propagation: unix.MS_PRIVATE}, 0)
}

// mount clones a mount and changes its attributes. It must be private: of a clone that is a peer of the host's, what is mounted on the one appears on the
// other.
func (t *trees) mount(path string, attr *unix.MountAttr, recursive uint) (enter.Tree, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if err != nil {
		return enter.Tree{}, &os.PathError{Op: "clone the mount of", Path: path, Err: err}
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|recursive, attr)
	if err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EINVAL) {
			return enter.Tree{}, &compute.Error{Kind: compute.ErrUnavailable, Err: &os.PathError{Op: "map the users of", Path: path, Err: err},
				Hint: "its file system has no id-mapped mounts; use hostler as an ordinary user, or an image on another file system"}
		}
		return enter.Tree{}, &os.PathError{Op: "change the mount of", Path: path, Err: err}
	}
	t.fds = append(t.fds, fd)
	return enter.Tree{FD: len(t.fds)}, nil
}

// mountPoint is a line of /proc/self/mountinfo.
type mountPoint struct{ path, kind string }

// disks are the file systems that are shown in a sandbox of the host's root: those that hold files of the machine's own.
var disks = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "erofs", "squashfs", "overlay"}

// mounts lists the mounts of this process, the last one of a path, sorted by path.
func mounts() ([]mountPoint, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	byPath := map[string]string{}
	for line := range strings.Lines(string(data)) {
		// 36 35 98:0 /root /mount/point options - type source options
		before, after, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) < 1 {
			continue
		}
		byPath[unescape(fields[4])] = rest[0]
	}
	out := make([]mountPoint, 0, len(byPath))
	for path, kind := range byPath {
		out = append(out, mountPoint{path, kind})
	}
	slices.SortFunc(out, func(a, b mountPoint) int { return cmp.Compare(a.path, b.path) })
	return out, nil
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// below reports whether path is dir or lies in it.
func below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// hostPieces composes the host's own root, as seen through a layer that hides what is not a sandbox's business.
func (t *trees) hostPieces(hidden *hidden) ([]enter.Piece, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	var pieces []enter.Piece
	over := func(path string) error {
		p := enter.Piece{At: path, Kind: enter.Overlay, Optional: path != "/"}
		for _, dir := range []string{hidden.layer(path), path} {
			if dir == "" {
				continue
			}
			tree, err := t.tree(dir)
			if err != nil {
				if path != "/" && t.users >= 0 {
					t.lacks = append(t.lacks, enter.Lack{At: path, Why: err.Error()}) // a file system without id-mapped mounts: its place is empty
					return nil
				}
				return err
			}
			p.Layers = append(p.Layers, tree)
		}
		pieces = append(pieces, p)
		return nil
	}
	shown := func(m mountPoint) bool {
		if !slices.Contains(disks, m.kind) || hidden.hides(m.path) {
			return false
		}
		fi, err := os.Stat(m.path)
		return err == nil && fi.IsDir()
	}
	if t.users < 0 {
		for _, path := range append([]string{"/"}, hidden.apart()...) { // the caller's own home, where others' are hidden
			if pieces, err = cover(path, all, hidden, shown, over, &pieces); err != nil {
				return nil, err
			}
		}
		return pieces, nil
	}
	paths := append([]string{"/"}, hidden.apart()...)
	for _, m := range all {
		if m.path != "/" && shown(m) {
			paths = append(paths, m.path)
		}
	}
	slices.Sort(paths) // what is in another comes after it
	for _, path := range slices.Compact(paths) {
		if err := over(path); err != nil {
			return nil, err
		}
	}
	return pieces, nil
}

// bare turns overlays into what lies at their bottom, to be written to: for tests, which show what the layers are good for.
func bare(pieces []enter.Piece) {
	for i := range pieces {
		if p := &pieces[i]; p.Kind == enter.Overlay {
			p.Kind, p.Layers, p.Writable = enter.Bind, p.Layers[len(p.Layers)-1:], true
		}
	}
}

// cover puts overlays over the parts of a directory that no mount lies in: an ordinary user may not look below mounts, so the kernel lets him lay nothing
// over a directory with some. What lies between is made again, in memory.
func cover(dir string, all []mountPoint, hidden *hidden, shown func(mountPoint) bool, over func(string) error, pieces *[]enter.Piece) ([]enter.Piece, error) {
	inside := slices.ContainsFunc(all, func(m mountPoint) bool { return m.path != dir && below(m.path, dir) })
	if !inside {
		return *pieces, over(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return *pieces, nil // nothing there that he may see
	}
	if dir != "/" {
		*pieces = append(*pieces, enter.Piece{At: dir, Kind: enter.Dir, Mode: 0o755})
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if hidden.hides(path) {
			if hidden.is(path, mask.Empty) {
				*pieces = append(*pieces, enter.Piece{At: path, Kind: enter.Dir, Mode: mode(e)})
			}
			continue
		}
		switch {
		case e.Type()&os.ModeSymlink != 0:
			if target, err := os.Readlink(path); err == nil {
				*pieces = append(*pieces, enter.Piece{At: path, Kind: enter.Link, Target: target})
			}
		case e.IsDir():
			if i := slices.IndexFunc(all, func(m mountPoint) bool { return m.path == path }); i >= 0 && !shown(all[i]) {
				*pieces = append(*pieces, enter.Piece{At: path, Kind: enter.Dir, Mode: 0o755})
				continue
			}
			if _, err := cover(path, all, hidden, shown, over, pieces); err != nil {
				return *pieces, err
			}
		case e.Type().IsRegular():
			*pieces = append(*pieces, enter.Piece{At: path, Kind: enter.Bind, Layers: []enter.Tree{{Path: path}}, Optional: true})
		}
	}
	return *pieces, nil
}

// mode is a directory's, for an empty one in its place.
func mode(e os.DirEntry) int64 {
	fi, err := e.Info()
	if err != nil {
		return 0o755
	}
	m := int64(fi.Mode().Perm())
	if fi.Mode()&os.ModeSticky != 0 {
		m |= unix.S_ISVTX
	}
	return m
}
