package process

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// rootFS is the file system that commands see: this machine's, or a root's.
type rootFS struct{ root *os.Root }

// openRoot opens it; close closes it.
func (e *Conn) openRoot() (*rootFS, error) {
	if e.opt.Root == "" {
		return &rootFS{}, nil
	}
	r, err := os.OpenRoot(e.opt.Root)
	if err != nil {
		kind := compute.ErrCannotStart
		return nil, &compute.Error{Op: "exec.Run", Kind: kind, Err: err}
	}
	return &rootFS{root: r}, nil
}

func (s *rootFS) close() {
	if s.root != nil {
		_ = s.root.Close()
	}
}

// stat follows links, which stay inside.
func (s *rootFS) stat(name string) (fs.FileInfo, error) {
	if s.root == nil {
		return os.Stat(name)
	}
	in, err := inside(s.root, name, true)
	if err != nil {
		return nil, err
	}
	return s.root.Lstat(in)
}

// fsys opens files of the root by names as fs.FS has them.
func (s *rootFS) fsys() fs.FS {
	if s.root == nil {
		return os.DirFS("/")
	}
	return regularFS{s.root}
}

type regularFS struct{ r *os.Root }

// Open opens regular files alone; anything else is EINVAL.
func (f regularFS) Open(name string) (fs.File, error) {
	in, err := inside(f.r, name, true)
	if err != nil {
		return nil, err
	}
	// without waiting for a fifo in its place
	file, err := f.r.OpenFile(in, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if fi, err := file.Stat(); err != nil || !fi.Mode().IsRegular() {
		_ = file.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EINVAL}
	}
	return file, nil
}

// mostLinks is how many links a name may lead through; Linux allows 40.
const mostLinks = 40

// inside resolves name as a process with the root directory r would: a link to an absolute name
// starts again at r, and ".." stops there. The missing part of a path is kept as it is. The result
// is relative to r and has no links in it; if one is put there meanwhile, os.Root refuses to follow
// it outside. The last part is followed only with last.
func inside(r *os.Root, name string, last bool) (string, error) {
	todo := strings.Split(name, "/")
	done := "."
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		fi, err := r.Lstat(next)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err != nil || fi.Mode()&fs.ModeSymlink == 0 || len(todo) == 0 && !last {
			done = next
			continue
		}
		if links++; links > mostLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: syscall.ELOOP}
		}
		target, err := r.Readlink(next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "."
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return done, nil
}

// account is a line of a user database.
type account struct {
	name, home, shell string
	uid, gid          uint32
	groups            []uint32
}

// account looks up the user that the command runs as, and puts it into attr if it is another than
// this process's.
func (e *Conn) account(s *rootFS, user string, attr *syscall.SysProcAttr) (*account, error) {
	if user != "" && len(e.opt.Prefix) > 0 {
		return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrInvalid, Err: errors.New("no other user behind a prefix command")}
	}
	who, err := passwd(s.fsys(), user, os.Geteuid())
	if err != nil && user == "" {
		// This user's number may be in no file; then its home is enough.
		home, _ := os.UserHomeDir()
		if home == "" || e.opt.Root != "" {
			home = "/"
		}
		return &account{name: strconv.Itoa(os.Geteuid()), home: home, shell: "/bin/sh", uid: uint32(os.Geteuid())}, nil
	}
	if err != nil {
		return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: err}
	}
	if who.uid == uint32(os.Geteuid()) {
		return who, nil
	}
	if os.Geteuid() != 0 {
		return nil, &compute.Error{
			Op: "exec.Run", Kind: compute.ErrDenied, Err: errors.New("only root may run a command as " + who.name),
			Hint: "run hostler as root, or leave the user out",
		}
	}
	attr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}
	return who, nil
}

// Account returns the numbers of a user, given by name or number, where commands run.
func (e *Conn) Account(user string) (uid, gid int, err error) {
	s, err := e.openRoot()
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	who, err := passwd(s.fsys(), user, os.Geteuid())
	if err != nil {
		return 0, 0, &compute.Error{Op: "exec.Account", Kind: compute.ErrCannotStart, Err: err}
	}
	return int(who.uid), int(who.gid), nil
}

// passwd finds a user by name or number in etc/passwd, and the user's groups in etc/group; name ""
// means the number uid.
func passwd(fsys fs.FS, name string, uid int) (*account, error) {
	var who *account
	err := eachLine(fsys, "etc/passwd", 7, func(f []string) {
		if who != nil || name == "" && f[2] != strconv.Itoa(uid) || name != "" && name != f[0] && name != f[2] {
			return
		}
		u, err1 := strconv.ParseUint(f[2], 10, 32)
		g, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 == nil && err2 == nil {
			who = &account{name: f[0], home: f[5], shell: f[6], uid: uint32(u), gid: uint32(g)}
		}
	})
	if err != nil {
		return nil, err
	}
	if who == nil {
		return nil, errors.New("no such user: " + name)
	}
	if who.home == "" {
		who.home = "/"
	}
	if who.shell == "" {
		who.shell = "/bin/sh"
	}
	who.groups = []uint32{who.gid}
	err = eachLine(fsys, "etc/group", 4, func(f []string) {
		for _, m := range strings.Split(f[3], ",") {
			if g, err := strconv.ParseUint(f[2], 10, 32); err == nil && m == who.name && uint32(g) != who.gid {
				who.groups = append(who.groups, uint32(g))
			}
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return who, nil
}

// eachLine calls f with the fields of each line that has n of them.
func eachLine(fsys fs.FS, name string, n int, f func([]string)) error {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Split(lines.Text(), ":"); len(fields) == n {
			f(fields)
		}
	}
	return lines.Err()
}
