package caching

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/metal"
)

// Outside is a strategy that is a program of its own: it reads a case in the JSON form, one line, and prints an Answer. Each decision starts it anew. What it answers is held against the fleet:
// one that names a node that is not to be had, or names it twice, is an error, and nothing of it counts.
type Outside struct {
	Path     string            // the executable
	Settings map[string]string // what it is told beside the case
	Case     Proportional      // the settings of the built-in strategy, which the case has too
	Timeout  time.Duration     // for an answer; 0: a minute
	Most     int               // bytes of an answer; 0: 64 MiB
}

var _ metal.Strategy = (*Outside)(nil)

const (
	usualTimeout = time.Minute
	usualMost    = 64 << 20
)

// FindOutside looks for the executable hostler-strategy-NAME on PATH.
func FindOutside(name string) (string, error) {
	program := "hostler-strategy-" + name
	if name == "" || strings.ContainsAny(name, `/\`) {
		return "", &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%q: not a name of a strategy", name)}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("strategy %s: %w", name, err),
			Hint: "proportional is built in; any other is an executable " + program + " on PATH"}
	}
	return path, nil
}

// Plan asks the program.
func (o *Outside) Plan(ctx context.Context, f *metal.Fleet) (metal.Plan, error) {
	fail := func(kind, err error, hint string) (metal.Plan, error) {
		return metal.Plan{}, &compute.Error{Op: "strategy", ID: compute.ID(o.Path), Kind: kind, Err: err, Hint: hint}
	}
	if err := o.Case.Check(); err != nil {
		return metal.Plan{}, err
	}
	in, err := (&Case{Strategy: o.Case, Fleet: *f, Settings: o.Settings}).Form()
	if err != nil {
		return fail(compute.ErrFailed, err, "")
	}
	timeout, most := o.Timeout, o.Most
	if timeout <= 0 {
		timeout = usualTimeout
	}
	if most <= 0 {
		most = usualMost
	}
	inner, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(inner, o.Path)
	out, bad := &bounded{most: most, over: cancel}, &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, bad
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	tie(cmd.SysProcAttr)
	runtime.LockOSThread() // the kernel ties it to the thread that starts it
	defer runtime.UnlockOSThread()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for what it left in the background with our pipes open
	err = cmd.Run()
	said := ""
	if s := bad.line(); s != "" {
		said = ": it said: " + s
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return metal.Plan{}, ctx.Err()
	case out.full:
		return fail(compute.ErrFailed, fmt.Errorf("its answer is longer than %d bytes", most), "")
	case errors.Is(inner.Err(), context.DeadlineExceeded):
		return fail(compute.ErrTimeout, fmt.Errorf("no answer within %v%s", timeout, said), "")
	case errors.As(err, &exit):
		return fail(compute.ErrFailed, fmt.Errorf("it ended with %v%s", exit.ProcessState, said), "")
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		return fail(compute.ErrInvalid, err, "see that the executable is there, may be executed and begins with #! or is a program")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE): // one need not read all
		return fail(compute.ErrFailed, err, "")
	}
	a, err := parseAnswer(out.data)
	if err != nil {
		return fail(compute.ErrFailed, fmt.Errorf("its answer: %w%s", err, said), "docs/director-metal.md has the form")
	}
	plan, err := a.Plan(f)
	if err != nil {
		return fail(compute.ErrFailed, fmt.Errorf("its answer: %w%s", err, said), "")
	}
	return plan, nil
}

func parseAnswer(data []byte) (a Answer, err error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return a, errors.New("it is empty")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("something comes after the object")
	}
	if a.Eject == nil || a.Cache == nil {
		return a, errors.New("it lacks eject or cache")
	}
	return a, nil
}

// bounded takes what is written up to a limit; then it says so to whoever must end it.
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

// line is it on one line, fit for a terminal.
func (t *tail) line() string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(t.data), "?"))), " ")
}
