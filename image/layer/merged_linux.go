package layer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// biggestFileRead bounds what is read of an image into memory.
const biggestFileRead = 16 << 20

// ReadIn reads a file in a stack of layers, bottom first, as a mount of them would show it.
func ReadIn(dirs []string, name string) ([]byte, error) {
	for range 40 { // links followed
		fd, link, err := walk(dirs, name)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: "/" + name, Err: err}
		}
		if link != "" {
			name = link
			continue
		}
		f := os.NewFile(uintptr(fd), name)
		defer func() { _ = f.Close() }()
		b, err := io.ReadAll(io.LimitReader(f, biggestFileRead+1))
		if len(b) > biggestFileRead {
			err = fmt.Errorf("more than %d bytes", biggestFileRead)
		}
		return b, err
	}
	return nil, &fs.PathError{Op: "open", Path: "/" + name, Err: unix.ELOOP}
}

// walk opens the file name, or returns the name, from the root, that it stands for where a link is
// on the way.
func walk(dirs []string, name string) (file int, link string, err error) {
	var at []int // the directories that are merged here, top first
	closeAll := func(fds []int) {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	defer func() { closeAll(at) }()
	for _, d := range slices.Backward(dirs) {
		fd, err := unix.Open(d, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, "", err
		}
		at = append(at, fd)
		if isOpaque(fd) {
			break
		}
	}
	done, rest := "/", strings.Split(path.Clean("/" + name)[1:], "/")
	for i, part := range rest {
		var next []int
		for _, dir := range at {
			fd, err := unix.Openat(dir, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			var st unix.Stat_t
			if err == nil {
				err = unix.Fstat(fd, &st)
			}
			if err != nil {
				closeAll(next)
				return -1, "", err
			}
			kind := st.Mode & unix.S_IFMT
			if kind == unix.S_IFDIR {
				next = append(next, fd)
				if isOpaque(fd) {
					break
				}
				continue
			}
			// hidden by a directory above it, or hiding what is below
			if len(next) > 0 || isWhiteout(&st) {
				_ = unix.Close(fd)
				break
			}
			defer func() { _ = unix.Close(fd) }()
			switch {
			case kind == unix.S_IFLNK:
				to, err := readlink(fd)
				if err != nil {
					return -1, "", err
				}
				if !path.IsAbs(to) {
					to = path.Join(done, to)
				}
				return -1, path.Join(".", path.Join("/", to, path.Join(rest[i+1:]...))[1:]), nil
			case i < len(rest)-1:
				return -1, "", unix.ENOTDIR
			case kind != unix.S_IFREG:
				return -1, "", errors.New("not a regular file")
			}
			file, err = unix.Openat(dir, part, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			return file, "", err
		}
		closeAll(at)
		at = next
		if len(at) == 0 {
			return -1, "", unix.ENOENT
		}
		done = path.Join(done, part)
	}
	return -1, "", unix.EISDIR
}

// isOpaque reports whether a directory, opened as a path, hides what is below it.
func isOpaque(dir int) bool {
	var v [1]byte
	n, err := unix.Getxattr(fmt.Sprintf("/proc/self/fd/%d", dir), opaqueXattr, v[:])
	return err == nil && n == 1 && v[0] == 'y'
}

func readlink(fd int) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}
