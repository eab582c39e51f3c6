package strategy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// Program is an executable of the user's that reads a question on its standard input and prints an
// answer.
type Program struct {
	Path    string
	Timeout time.Duration // for an answer; 0: a minute
	Most    int           // bytes of an answer; 0: 64 MiB
}

const (
	usualTimeout = time.Minute
	usualMost    = 64 << 20
)

// Ask starts the program for one question. On an error it also returns the answer so far. said is
// the program's standard error, to be added to an error about the answer.
func (p *Program) Ask(ctx context.Context, in []byte) (answer []byte, said string, err error) {
	timeout, most := p.Timeout, p.Most
	if timeout <= 0 {
		timeout = usualTimeout
	}
	if most <= 0 {
		most = usualMost
	}
	inner, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(inner, p.Path)
	out, bad := &bounded{most: most, over: cancel}, &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, bad
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	defer proc.Tie(cmd.SysProcAttr)()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for its children in the background that have our pipes open
	err = cmd.Run()
	if s := bad.line(); s != "" {
		said = ": it said: " + s
	}
	fail := func(kind error, hint, text string, args ...any) ([]byte, string, error) {
		return out.data, said, &compute.Error{Kind: kind, Err: fmt.Errorf(text, args...), Hint: hint}
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out.data, said, ctx.Err()
	case out.full:
		return fail(compute.ErrFailed, "", "its answer is longer than %d bytes", most)
	case errors.Is(inner.Err(), context.DeadlineExceeded):
		return fail(compute.ErrTimeout, "", "no answer within %v%s", timeout, said)
	case errors.As(err, &exit):
		return fail(compute.ErrFailed, "", "it ended with %v%s", exit.ProcessState, said)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission),
		errors.Is(err, syscall.ENOEXEC):
		return fail(compute.ErrInvalid, "see that the executable is there, may be executed and begins with #! or is a program", "%w", err)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE):
		// a program need not read all
		return fail(compute.ErrFailed, "", "%w", err)
	}
	return out.data, said, nil
}

// bounded keeps what is written up to a limit. Beyond it calls over, which ends the program.
type bounded struct {
	data []byte
	most int
	full bool
	over func()
}

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
