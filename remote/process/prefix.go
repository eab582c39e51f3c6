package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
)

// prefixed is a command behind a prefix. Only a POSIX shell is sure to be there, and the prefix may
// pass on neither environment nor directory (docker exec). So the command goes as over ssh: as a
// script of one line that its shell reads before anything else, and that no list of processes
// shows. See sshScript.
type prefixed struct {
	nonce  string
	prefix []string
	line   string
	out    *shell.Preamble
	said   shell.Tail // the last words before the command began

	once    sync.Once
	started chan struct{} // closed when the script has told its numbers, or never will
	pid     int           // valid once started is closed, as the others; 0: it did not start
	group   int
	failed  int // the script's own status when it could not start the command
}

// behindPrefix fills in p for a command behind the prefix.
func (e *Conn) behindPrefix(p *program, cmd *compute.Command, env, marks map[string]string) (*program, error) {
	c := *cmd
	c.Dir, c.User = e.farDir(cmd.Dir), ""
	if c.Env = maps.Clone(cmd.Env); cmd.TTY != nil {
		if c.Env == nil {
			c.Env = map[string]string{}
		}
		c.Env["TERM"] = env["TERM"]
	}
	for _, m := range []map[string]string{c.Env, marks} {
		for k := range m {
			if !shell.IsName(k) {
				return nil, &compute.Error{
					Op: "exec.Run", Kind: compute.ErrCannotStart,
					Err: errors.New("no shell can set the environment variable " + k),
				}
			}
		}
	}
	nonce := shell.Nonce()
	line := shell.Line(nonce, &c, marks)
	if c.Dir == "" {
		line = `[ -z "$HOME" ]||cd 2>/dev/null;` + line
	}
	if cmd.TTY != nil {
		line = `_hl_t=;stty icanon echo 2>/dev/null&&_hl_t=" t";` + line
	}
	p.prefixed = &prefixed{nonce: nonce, prefix: e.opt.Prefix, line: line + "\n", started: make(chan struct{})}
	p.args = append(append([]string{}, e.opt.Prefix...), "/bin/sh", "-c", shell.Boot)
	p.name, p.env = p.args[0], flatten(env)
	var err error
	if p.path, err = exec.LookPath(p.args[0]); err != nil {
		return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: err}
	}
	return p, nil
}

// farDir returns dir as the other side of the prefix has it. Empty means the connection's own
// directory, and a relative path is below that.
func (e *Conn) farDir(dir string) string {
	switch {
	case dir == "":
		return e.opt.Dir
	case dir[0] != '/' && e.opt.Dir != "":
		return e.opt.Dir + "/" + dir
	default:
		return dir
	}
}

// stdout takes the script's own words off the output. restore, which may be nil, restores a
// terminal where the script cannot.
func (b *prefixed) stdout(w io.Writer, restore func()) io.Writer {
	if w == nil {
		w = io.Discard
	}
	b.out = &shell.Preamble{
		Nonce: b.nonce, W: w, Before: &b.said,
		Began: func(pid, group int, rest []string) {
			if len(rest) == 0 && restore != nil {
				restore()
			}
			b.pid, b.group = pid, group
			b.ended()
		},
		Failed: func(status int) { b.pid, b.failed = 0, status },
	}
	return b.out
}

// ended says that the script tells nothing more of the start.
func (b *prefixed) ended() { b.once.Do(func() { close(b.started) }) }

// soon waits a moment for a command that is about to start, so that a kill finds it.
func (b *prefixed) soon() {
	select {
	case <-b.started:
	case <-time.After(lateOutput):
	}
}

// dyingTime bounds how long a prefix command may take to send a signal.
const dyingTime = 3 * time.Second

// farScript sends the signal $1 to the group $2, or to the process $3 where the group is not known.
// With "s" for $4 it sends it to all of the session $3 as well.
const farScript = `if [ "$4" = s ];then for f in /proc/[0-9]*;do r=;{ read -r r <"$f/stat";} 2>/dev/null;[ -n "$r" ]||continue
set -- "$1" "$2" "$3" s ${r##*) };[ "$8" != "$3" ]||[ "${f#/proc/}" = $$ ]||kill -"$1" "${f#/proc/}" 2>/dev/null;done;fi
kill -"$1" "-$2" 2>/dev/null||kill -"$1" "$3" 2>/dev/null`

// signal sends a signal to the group, and KILL with session to the whole session, by running the
// prefix once more. It reports whether that worked.
func (b *prefixed) signal(name string, session bool) bool {
	if b.pid <= 1 || b.group <= 1 {
		return false
	}
	kind := "g"
	if session && name == "KILL" {
		kind = "s"
	}
	return b.far(farScript, name, strconv.Itoa(b.group), strconv.Itoa(b.pid), kind)
}

// killTree kills the processes with a mark.
func (b *prefixed) killTree(mark string) { b.far(shell.KillTree, "KILL", mark) }

// far runs a script by the prefix once more, and reports whether it succeeded.
func (b *prefixed) far(script string, args ...string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), dyingTime)
	defer cancel()
	args = append(append(append([]string{}, b.prefix...), "/bin/sh", "-c", script, "sh"), args...)
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.WaitDelay = time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // our terminal's keys must not reach it
	return c.Run() == nil
}

// result interprets the end of the prefix command.
func (b *prefixed) result(cmd *compute.Command, dir, prefix string, exit compute.Exit) (compute.Exit, error) {
	b.ended()
	fail := func(kind error, why string) (compute.Exit, error) {
		return compute.Exit{}, &compute.Error{Op: "exec.Run", Kind: kind, Err: errors.New(why)}
	}
	name := "the shell"
	if len(cmd.Args) > 0 {
		name = cmd.Args[0]
	}
	switch {
	case b.failed == 126:
		return fail(compute.ErrNotExecutable, name)
	case b.failed == 127:
		return fail(compute.ErrNoCommand, name)
	case b.failed != 0:
		return fail(compute.ErrCannotStart, "no such directory: "+dir)
	case b.pid != 0:
		return exit, nil
	}
	_, _ = b.said.Write(b.out.Held)
	why := fmt.Sprintf("%s ended with %d before the command began", prefix, exit.Status())
	if s := b.said.LastLine(); s != "" {
		why += ": " + s
	}
	return fail(compute.ErrCannotStart, why)
}

// quiet makes a terminal neither show nor cut the typed line. restore undoes that.
func quiet(tty *os.File) (restore func(), err error) {
	raw, err := tty.SyscallConn()
	if err != nil {
		return nil, err
	}
	var old *unix.Termios
	set := func(mode *unix.Termios) (err error) {
		cerr := raw.Control(func(fd uintptr) { err = unix.IoctlSetTermios(int(fd), setTermios, mode) })
		return errors.Join(cerr, err)
	}
	cerr := raw.Control(func(fd uintptr) { old, err = unix.IoctlGetTermios(int(fd), getTermios) })
	if err = errors.Join(cerr, err); err != nil {
		return nil, err
	}
	mode := *old
	mode.Lflag &^= unix.ECHO | unix.ICANON
	return func() { _ = set(old) }, set(&mode)
}
