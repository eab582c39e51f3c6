package process

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// defaultPath is the PATH where none is set.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// program is a command made ready for this machine's kernel.
type program struct {
	name string // as the caller called it, for errors
	path string
	args []string
	env  []string
	dir  string
	attr syscall.SysProcAttr
	mark string // entry of the environment that marks the descendants; "": known otherwise

	prefixed *prefixed // the way through a prefix; nil: none
	reaped   func()    // called when the process is gone
}

func (p *program) command() *exec.Cmd {
	attr := p.attr
	return &exec.Cmd{Path: p.path, Args: p.args, Env: p.env, Dir: p.dir, SysProcAttr: &attr}
}

// program works out the process for a command, and refuses at once what cannot be.
func (e *Conn) program(cmd *compute.Command) (*program, error) {
	if i := slices.IndexFunc(cmd.Args, func(a string) bool { return strings.IndexByte(a, 0) >= 0 }); i >= 0 {
		return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: errors.New("an argument has a NUL byte")}
	}
	for k, v := range cmd.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.IndexByte(v, 0) >= 0 {
			return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: errors.New("a bad environment variable: " + k)}
		}
	}
	s, err := e.openRoot()
	if err != nil {
		return nil, err
	}
	defer s.close()
	p := &program{}
	who, err := e.account(s, cmd.User, &p.attr)
	if err != nil {
		return nil, err
	}
	marks := e.opt.Mark
	if len(e.opt.Prefix) > 0 || e.groups == nil && (len(e.opt.Reaper) == 0 || cmd.Stay) {
		nonce := shell.Nonce()
		marks, p.mark = maps.Clone(marks), CommandMark+"="+nonce
		if marks == nil {
			marks = map[string]string{}
		}
		marks[CommandMark] = nonce
	}
	env := e.environment(cmd, who, marks)
	if len(e.opt.Prefix) > 0 {
		return e.behindPrefix(p, cmd, env, marks)
	}
	if p.dir, err = e.directory(s, cmd.Dir, who); err != nil {
		return nil, err
	}
	if p.dir != "" {
		env["PWD"] = p.dir
	}
	p.env = flatten(env)
	p.args = cmd.Args
	if len(p.args) == 0 {
		p.args = e.shell(who)
	}
	p.name = p.args[0]
	if p.name[0:min(1, len(p.name))] == "-" && len(cmd.Args) == 0 {
		p.name = who.shell // a login shell is called "-sh", but its file is not
	}
	if p.path, err = s.findExecutable(p.name, p.dir, env["PATH"]); err != nil {
		return nil, err
	}
	if e.opt.Chroot {
		p.attr.Chroot = e.opt.Root
		if p.dir == "" {
			p.dir = "/"
		}
	}
	return p, nil
}

// environment returns a command's environment: ours or a small one, then the command's own, then
// the marks, which it cannot remove.
func (e *Conn) environment(cmd *compute.Command, who *account, marks map[string]string) map[string]string {
	env := make(map[string]string)
	if e.opt.KeepEnv {
		for _, kv := range os.Environ() {
			if k, v, ok := strings.Cut(kv, "="); ok {
				env[k] = v
			}
		}
	}
	if !e.opt.KeepEnv || cmd.User != "" {
		env["HOME"], env["USER"], env["LOGNAME"], env["SHELL"] = who.home, who.name, who.name, who.shell
	}
	for k, v := range map[string]string{"PATH": defaultPath, "LANG": "C.UTF-8", "TERM": "dumb"} {
		if _, ok := env[k]; !ok && !(e.opt.KeepEnv && k != "PATH") {
			env[k] = v
		}
	}
	if cmd.Term != "" {
		env["TERM"] = cmd.Term
	} else if cmd.TTY != nil && (!e.opt.KeepEnv || env["TERM"] == "") {
		env["TERM"] = "xterm"
	}
	for _, m := range []map[string]string{cmd.Env, marks} {
		for k, v := range m {
			env[k] = v
		}
	}
	return env
}

func flatten(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// shell returns the arguments of a user's shell: $SHELL where commands have the user's environment,
// else a login shell.
func (e *Conn) shell(who *account) []string {
	if e.opt.KeepEnv {
		return []string{loginShell()}
	}
	return []string{"-" + path.Base(who.shell)}
}

// loginShell returns this user's shell: $SHELL, else the user database's, else /bin/sh.
func loginShell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	if who, err := passwd(os.DirFS("/"), "", os.Geteuid()); err == nil {
		return who.shell
	}
	return "/bin/sh"
}

// directory returns where the command starts, "" for our own directory. The error names a path that
// is no directory.
func (e *Conn) directory(s *rootFS, dir string, who *account) (string, error) {
	asked := dir
	if base := e.base(who); !path.IsAbs(dir) && base != "" {
		dir = path.Join(base, dir)
	}
	if dir == "" {
		return "", nil
	}
	fi, err := s.stat(dir)
	if err == nil && !fi.IsDir() {
		err = &fs.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil && asked == "" && e.opt.Dir == "" {
		return "/", nil // a user without a home starts at the root, as in login
	}
	if err != nil {
		return "", &compute.Error{
			Op: "exec.Run", Kind: compute.ErrCannotStart,
			Err: &fs.PathError{Op: "chdir", Path: dir, Err: tree.Cause(err)},
		}
	}
	if dir, err = e.absolute(dir); err != nil {
		return "", &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: err}
	}
	return dir, nil
}

// base returns the directory that relative ones start from; "": our own.
func (e *Conn) base(who *account) string {
	switch {
	case e.opt.Dir != "":
		return e.opt.Dir
	case e.opt.Root != "" || len(e.opt.Prefix) > 0:
		return who.home
	default:
		return ""
	}
}

func (e *Conn) absolute(dir string) (string, error) {
	if e.opt.Root != "" {
		return path.Join("/", dir), nil
	}
	return filepath.Abs(dir)
}

// findExecutable finds the file of a command, as execvp would.
func (s *rootFS) findExecutable(name, dir, list string) (string, error) {
	bad := func(kind error, err error) error {
		return &compute.Error{Op: "exec.Run", Kind: kind, Err: &tree.FileError{Path: name, Err: err}}
	}
	if name == "" {
		return "", bad(compute.ErrNoCommand, fs.ErrNotExist)
	}
	if strings.Contains(name, "/") {
		full := name
		if !path.IsAbs(name) && dir != "" {
			full = path.Join(dir, name)
		}
		fi, err := s.stat(full)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return "", bad(compute.ErrNoCommand, fs.ErrNotExist)
		case err == nil && (fi.IsDir() || fi.Mode()&0o111 == 0):
			return "", bad(compute.ErrNotExecutable, fs.ErrPermission)
		}
		return name, nil
	}
	var found error = bad(compute.ErrNoCommand, errors.New("not in "+list))
	for _, d := range filepath.SplitList(list) {
		full := path.Join(d, name)
		if d == "" || !path.IsAbs(d) {
			full = "./" + path.Join(d, name)
		}
		at := full
		if !path.IsAbs(full) && dir != "" {
			at = path.Join(dir, full)
		}
		fi, err := s.stat(at)
		if err != nil || fi.IsDir() {
			continue
		}
		if fi.Mode()&0o111 != 0 {
			return full, nil
		}
		found = bad(compute.ErrNotExecutable, fs.ErrPermission)
	}
	return "", found
}
