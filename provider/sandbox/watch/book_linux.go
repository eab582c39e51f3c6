//go:build amd64 || arm64

package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// book collects the lookups.
type book struct {
	mu      sync.Mutex
	report  Report
	known   map[string]int      // the place of each path in the report
	full    map[string]struct{} // directories in which something is
	text    int                 // bytes of paths
	watched map[uint32]*call
}

func newBook() *book {
	b := &book{known: map[string]int{}, full: map[string]struct{}{}, watched: map[uint32]*call{}}
	for i := range calls {
		b.watched[calls[i].number] = &calls[i]
	}
	return b
}

// serve answers each notification: go on.
func (b *book) serve(fd int) {
	// On one processor the watcher and the watched program take turns at once. A kernel that lacks
	// this flag is slower.
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	for {
		var n notice
		switch err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); {
		case errors.Is(err, unix.ENOENT): // the caller was killed meanwhile
			continue
		case err != nil:
			return
		}
		b.look(fd, &n)
		answer := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		_ = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer))
	}
}

// look notes the path of one call, if nothing is there.
func (b *book) look(fd int, n *notice) {
	c := b.watched[uint32(n.nr)]
	if c == nil {
		return
	}
	name, err := text(n.pid, uintptr(n.args[c.path]))
	if ierr := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)); ierr != nil {
		return // it was killed, and its number may be another's
	}
	if errors.Is(err, unix.EFAULT) || errors.Is(err, unix.ENAMETOOLONG) {
		return // for the kernel it is no path either
	}
	if err != nil {
		b.mu.Lock()
		b.report.Unread++
		b.mu.Unlock()
		return
	}
	if name == "" {
		return // the descriptor itself
	}
	full, ok := absolute(n, c, name)
	if !ok || own(full) {
		return
	}
	follow, creates := c.follows(&n.args)
	var st unix.Stat_t
	flags := 0
	if !follow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	err = unix.Fstatat(unix.AT_FDCWD, full, &st, flags)
	switch {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && c.kind == "open" && b.empty(full):
		b.note(full, full, true, c.kind, n.pid)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOTDIR):
		place, last := follows(full, follow)
		if !creates || !last {
			b.note(full, place, false, c.kind, n.pid)
		}
	}
}

// text reads a path from the memory of a process, a page at a time, as the next page may not exist.
func text(pid uint32, from uintptr) (string, error) {
	var buf [maxPath]byte
	page := uintptr(os.Getpagesize())
	for n := 0; n < len(buf); {
		size := min(int(page-(from+uintptr(n))%page), len(buf)-n)
		local := unix.Iovec{Base: &buf[n]}
		local.SetLen(size)
		got, err := unix.ProcessVMReadv(int(pid), []unix.Iovec{local}, []unix.RemoteIovec{{Base: from + uintptr(n), Len: size}}, 0)
		if err != nil || got == 0 {
			return "", errors.Join(err, errors.New("nothing is read"))
		}
		if i := strings.IndexByte(string(buf[n:n+got]), 0); i >= 0 {
			return string(buf[:n+i]), nil
		}
		n += got
	}
	return "", unix.ENAMETOOLONG
}

// absolute turns a process's path into one from the sandbox's root on.
func absolute(n *notice, c *call, name string) (string, bool) {
	proc := fmt.Sprintf("/proc/%d/", n.pid)
	if name[0] == '/' {
		root, err := os.Readlink(proc + "root")
		if err != nil || root == "/" {
			return clean(name), err == nil
		}
		return clean(root + name), path.IsAbs(root)
	}
	at := proc + "cwd"
	if c.dir != none && int32(n.args[c.dir]) != unix.AT_FDCWD {
		at = fmt.Sprintf("%sfd/%d", proc, int32(n.args[c.dir]))
	}
	dir, err := os.Readlink(at)
	if err != nil || !path.IsAbs(dir) { // a socket, or a place outside of the root
		return "", false
	}
	return clean(dir + "/" + name), true
}

// clean is path.Clean, but for paths with .. in them, which after a link means something else.
func clean(p string) string {
	if strings.Contains(p, "..") {
		return p
	}
	return path.Clean(p)
}

// own reports whether a path lies in a sandbox's own file systems.
func own(p string) bool {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// maxLinks is how many links are followed on the way to one path, as the kernel does it.
const maxLinks = 40

// follows returns the place that a path leads to, with its links followed as far as they exist.
// last: nothing but its last element is missing.
func follows(p string, end bool) (place string, last bool) {
	todo := strings.Split(strings.Trim(p, "/"), "/")
	place = "/"
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			place = path.Dir(place)
			continue
		}
		next := path.Join(place, name)
		fi, err := os.Lstat(next)
		if err != nil {
			return path.Join(append([]string{next}, todo...)...), len(todo) == 0 && errors.Is(err, fs.ErrNotExist)
		}
		if fi.Mode()&fs.ModeSymlink == 0 || len(todo) == 0 && !end {
			place = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return next, false
		}
		if path.IsAbs(target) {
			place = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return place, false
}

// empty reports whether a directory has nothing in it.
func (b *book) empty(dir string) bool {
	if _, ok := b.full[dir]; ok {
		return false
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) == 0 {
		return true
	}
	if len(b.full) < maxPaths {
		b.full[dir] = struct{}{}
	}
	return false
}

// note adds a lookup.
func (b *book) note(full, place string, empty bool, kind string, pid uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.known[full]
	if !ok {
		l := Lookup{Path: []byte(full), Empty: empty}
		if place != full {
			l.Place = []byte(place)
		}
		size := len(full) + len(l.Place)
		if len(b.known) >= maxPaths || b.text+size > maxText {
			b.report.More++
			return
		}
		b.text += size
		i = len(b.report.Lookups)
		b.known[full] = i
		b.report.Lookups = append(b.report.Lookups, l)
	}
	l := &b.report.Lookups[i]
	who := program(pid)
	for i := range l.Uses {
		if u := &l.Uses[i]; u.Program == who && u.Call == kind {
			u.Times++
			return
		}
	}
	if len(l.Uses) < maxUses {
		l.Uses = append(l.Uses, Use{who, kind, 1})
	}
}

// write writes the report.
func (b *book) write(file string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(b.report.write(f), f.Close())
}
