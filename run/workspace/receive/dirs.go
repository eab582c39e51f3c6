package receive

import (
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// dirs opens the directories of a tree below an open one, component by component, and follows no
// link. It keeps the path to the last one open, so sorted paths cost one open for each directory.
// Only one goroutine may use it.
type dirs struct {
	top   int // the caller closes it
	names []string
	fds   []int
	made  func(dir string) // called for each directory that it makes
	owner *owner           // of the directories that it makes
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func (d *dirs) close() { d.cut(0) }

func (d *dirs) cut(n int) {
	for _, fd := range d.fds[n:] {
		_ = unix.Close(fd)
	}
	d.names, d.fds = d.names[:n], d.fds[:n]
}

// parent opens the directory of a path, and returns it with the path's last component. The
// descriptor belongs to d and is valid until the next call. fs.ErrNotExist, unix.ENOTDIR and
// unix.ELOOP mean that there is no such directory.
func (d *dirs) parent(p string) (fd int, base string, err error) {
	dir, base := path.Split(p)
	fd, err = d.open(strings.TrimSuffix(dir, "/"), false)
	return fd, base, err
}

// makeParent is parent, and makes the directory if it is missing. It removes a file in its place.
func (d *dirs) makeParent(p string) (fd int, base string, err error) {
	dir, base := path.Split(p)
	fd, err = d.open(strings.TrimSuffix(dir, "/"), true)
	return fd, base, err
}

// open returns a descriptor of dir, which d keeps and closes. With create, missing directories
// are made, and links or files in their place are replaced.
func (d *dirs) open(dir string, create bool) (int, error) {
	depth, rest := 0, dir
	for depth < len(d.names) && rest != "" {
		name, tail, _ := strings.Cut(rest, "/")
		if name != d.names[depth] {
			break
		}
		depth, rest = depth+1, tail
	}
	d.cut(depth)
	fd := d.top
	if depth > 0 {
		fd = d.fds[depth-1]
	}
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		next, err := openAt(fd, name, openDir)
		if err != nil && create && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)) {
			next, err = d.make(fd, name, err)
		}
		if err != nil {
			return -1, pathError("open", dir, err)
		}
		d.names, d.fds = append(d.names, name), append(d.fds, next)
		fd = next
	}
	return fd, nil
}

// make makes the directory name, after the open failed because of why, and opens it. What stands
// in its place is unlinked first.
func (d *dirs) make(fd int, name string, why error) (int, error) {
	if !errors.Is(why, unix.ENOENT) {
		if err := unix.Unlinkat(fd, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return -1, err
		}
	}
	made := writable(fd, func() error { return unix.Mkdirat(fd, name, 0o755) })
	if made != nil && !errors.Is(made, unix.EEXIST) {
		return -1, made
	}
	next, err := openAt(fd, name, openDir)
	if err != nil {
		return -1, err
	}
	if made == nil { // regardless of the umask
		if err := d.owner.adopt(next); err != nil {
			_ = unix.Close(next)
			return -1, err
		}
	}
	if d.made != nil {
		d.made(name)
	}
	return next, nil
}

func openAt(fd int, name string, flags int) (int, error) {
	for {
		next, err := unix.Openat(fd, name, flags, 0)
		if err != unix.EINTR {
			return next, err
		}
	}
}

// writable calls change, and once more with the directory made writable if a command had made it
// read-only.
func writable(fd int, change func() error) error {
	err := change()
	if err != unix.EACCES {
		return err
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&0o700 == 0o700 || unix.Fchmod(fd, uint32(st.Mode)&0o7777|0o700) != nil {
		return err
	}
	return change()
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

// absent reports whether an error means that a path does not exist.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// names returns the names in an open directory.
func names(fd int) ([]string, error) {
	own, err := openAt(fd, ".", openDir)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), ".")
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}

// removeAll removes a tree below an open directory, and follows no link. The depth of the tree is
// not limited.
func removeAll(fd int, name string) error {
	err := writable(fd, func() error { return unix.Unlinkat(fd, name, 0) })
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	sub, oerr := openAt(fd, name, openDir)
	if errors.Is(oerr, unix.EACCES) { // the directory cannot be read
		_ = unix.Fchmodat(fd, name, 0o700, 0)
		sub, oerr = openAt(fd, name, openDir)
	}
	if oerr != nil {
		return errors.Join(err, oerr)
	}
	defer func() { _ = unix.Close(sub) }()
	all, err := names(sub)
	if err != nil {
		return err
	}
	for _, n := range all {
		if err := removeAll(sub, n); err != nil {
			return pathError("remove", name+"/"+n, err)
		}
	}
	err = writable(fd, func() error { return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
