package cgroup

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Group is one sandbox's control groups: at most one directory in each hierarchy. After Close all
// methods but FD still work. All methods but Close may be called at once from many goroutines.
type Group struct {
	id string
	v2 string  // its directory of version 2; "": none
	v1 []v1dir // its directories of version 1
	fd int

	memory, pids, time, freezer attachPoint
}

// v1dir is a directory of version 1, and the directory of our own group in the same hierarchy.
type v1dir struct{ dir, home string }

// attachPoint is a place where usage is counted.
type attachPoint struct {
	dir string // "": nowhere
	v2  bool
}

// take adds the group's directory in a place.
func (g *Group) take(p *place, dir string) {
	s := attachPoint{dir, p.v2}
	if p.v2 {
		g.v2 = dir
		g.time, g.freezer = s, s // these need no controller
	} else {
		g.v1 = append(g.v1, v1dir{dir, p.own})
	}
	for _, c := range p.controllers {
		switch c {
		case "memory":
			g.memory = s
		case "pids":
			g.pids = s
		case "freezer":
			if g.freezer.dir == "" {
				g.freezer = s
			}
		case "cpuacct":
			if g.time.dir == "" {
				g.time = s
			}
		}
	}
}

// open opens the directory of version 2.
func (g *Group) open() error {
	if g.v2 == "" {
		return nil
	}
	fd, err := unix.Open(g.v2, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: g.v2, Err: err}
	}
	g.fd = fd
	return nil
}

// FD returns a descriptor of the group's directory of version 2, for clone's CLONE_INTO_CGROUP
// (SysProcAttr.CgroupFD), or -1 where there is none. It lives until Close.
func (g *Group) FD() int { return g.fd }

// Close closes the descriptor. The group stays.
func (g *Group) Close() error {
	if g.fd < 0 {
		return nil
	}
	fd := g.fd
	g.fd = -1
	return unix.Close(fd)
}

// Delegate gives the group's directory of version 2 to a user. The user may then make groups below
// it, at most 1024 and 16 deep, and move the group's processes between them. The limits stay ours.
// Without version 2 it does nothing.
func (g *Group) Delegate(uid, gid int) error {
	if g.v2 == "" {
		return nil
	}
	for file, text := range map[string]string{"cgroup.max.descendants": "1024", "cgroup.max.depth": "16"} {
		// not before Linux 4.14
		if err := write(g.v2+"/"+file, text); err != nil && err != unix.ENOENT {
			return &os.PathError{Op: "write", Path: g.v2 + "/" + file, Err: err}
		}
	}
	for _, file := range []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads", ""} {
		if err := os.Chown(g.v2+"/"+file, uid, gid); err != nil && !(file == "cgroup.threads" && errors.Is(err, os.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// write writes a file of the control group file system in one call. The error is the bare number.
func write(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for {
		if _, err = unix.Write(fd, []byte(text)); err != unix.EINTR {
			break
		}
	}
	_ = unix.Close(fd)
	return err
}

// read reads a file of the kernel in as few calls as possible: the kernel makes its text anew for
// each, and os.ReadFile begins with small ones.
func read(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	buf, n := make([]byte, 8192), 0
	for {
		got, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		}
		if got == 0 {
			return string(buf[:n]), nil
		}
		if n += got; n == len(buf) {
			buf = append(buf, make([]byte, n)...)
		}
	}
}

// number reads a file that holds one number.
func number(path string) (int64, error) {
	s, err := read(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(s), 10, 64)
}

// field finds the number after a word in a file with a word and a number on each line.
func field(path, word string) (int64, error) {
	s, err := read(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(s) {
		if name, value, ok := strings.Cut(line, " "); ok && name == word {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New(path + " has no " + word)
}

// processes reads the processes of one directory, not of those below. A process outside of our
// process name space is 0.
func processes(dir string) ([]int, error) {
	s, err := read(dir + "/cgroup.procs")
	if err != nil {
		return nil, err
	}
	var out []int
	for w := range strings.FieldsSeq(s) {
		if pid, err := strconv.Atoi(w); err == nil {
			out = append(out, pid)
		}
	}
	return out, nil
}
