package proc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Executable is a program of the user's that reads a request on its standard input and prints an
// answer.
type Executable struct {
	Path    string
	Timeout time.Duration // for an answer
	Most    int           // bytes of an answer
}

// Executed is what came of one request.
type Executed struct {
	Answer  []byte // so far, if it failed
	Stderr  string // the end of the standard error, on one line and fit for a terminal
	TooLong bool   // the answer was longer than Most
	Late    bool   // there was no answer within Timeout
	Err     error  // how the program ended
}

// NoProgram reports that the program cannot be started as it is.
func (e *Executed) NoProgram() bool {
	return errors.Is(e.Err, exec.ErrNotFound) || errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, fs.ErrPermission) ||
		errors.Is(e.Err, syscall.ENOEXEC)
}

// NoProgramHint is what to do about NoProgram.
const NoProgramHint = "see that the executable is there, may be executed and begins with #! or is a program"

// Exited returns the error of a program that ended by itself or by a signal; nil: it did not.
func (e *Executed) Exited() (exit *exec.ExitError) {
	errors.As(e.Err, &exit)
	return exit
}

// Failed reports whether the program could not be served. It need not read all of its input, and
// its children may keep our pipes open.
func (e *Executed) Failed() bool {
	return e.Err != nil && !errors.Is(e.Err, exec.ErrWaitDelay) && !errors.Is(e.Err, syscall.EPIPE)
}

// Run starts the program for one request. When the answer is too long or late, or ctx ends, the
// process group is killed.
func (x Executable) Run(ctx context.Context, in []byte) *Executed {
	inner, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	cmd := exec.CommandContext(inner, x.Path)
	out, bad := &bounded{most: x.Most, over: cancel}, &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, bad
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	defer KillWithParent(cmd.SysProcAttr)()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for its children in the background that have our pipes open
	err := cmd.Run()
	return &Executed{out.data, bad.line(), out.full, errors.Is(inner.Err(), context.DeadlineExceeded), err}
}

// bounded keeps what is written up to a limit. Beyond it calls over, which ends the program. It has
// no ReadFrom, by which io.Copy would pass the limit.
type bounded struct {
	data []byte
	most int
	full bool
	over func()
}

// Write keeps p unless that would exceed the bound. It then calls over and returns
// io.ErrShortWrite.
func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.most {
		b.full = true
		b.over()
		return 0, io.ErrShortWrite
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// tail keeps the end of what is written.
type tail struct{ data []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 1500 // bytes
	t.data = append(t.data, p...)
	if over := len(t.data) - keep; over > 0 {
		t.data = slices.Delete(t.data, 0, over)
	}
	return len(p), nil
}

// line returns it on one line, fit for a terminal.
func (t *tail) line() string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(t.data), "?"))), " ")
}
