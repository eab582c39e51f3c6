package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

var errTooLong = fmt.Errorf("an answer beyond %d bytes", limit)

// bounded keeps what the executable writes, up to the limit. Beyond it, it tells the caller to end
// the executable. The buffer is not embedded, as io.Copy would use its ReadFrom and pass the limit.
type bounded struct {
	data []byte
	over func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > limit {
		b.over()
		return 0, errTooLong
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// tail keeps the last bytes that are written to it.
type tail struct{ data []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 1500 // bytes, fewer than line leaves
	t.data = append(t.data, p...)
	if over := len(t.data) - keep; over > 0 {
		t.data = slices.Delete(t.data, 0, over)
	}
	return len(p), nil
}

// call starts the executable for one request and returns its answer. It kills the process group of
// a call that ends early.
func (p *Provider) call(ctx context.Context, verb string, id compute.ID, s *spec) (*answer, error) {
	op := p.o.Type + "." + verb
	fail := func(kind, err error, hint string) error {
		return &compute.Error{Op: op, ID: id, Kind: kind, Err: p.hide(err), Hint: hint}
	}
	if err := ctx.Err(); err != nil {
		return nil, fail(nil, err, "")
	}
	var in bytes.Buffer
	e := json.NewEncoder(&in)
	e.SetEscapeHTML(false) // a small parser reads & more easily than its escape
	settings := p.o.Settings
	if settings == nil {
		settings = map[string]string{}
	}
	if err := e.Encode(request{Version: version, Verb: verb, Source: p.o.Source, Installation: p.o.Installation,
		ID: string(id), Spec: s, Dir: p.o.Dir,
		Settings: settings}); err != nil {
		return nil, fail(compute.ErrInvalid, err, "")
	}
	inner, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	cmd := exec.CommandContext(inner, p.path)
	out, bad := &bounded{over: cancel}, &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, out, bad
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	defer proc.KillWithParent(cmd.SysProcAttr)()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for background processes that keep our pipes open
	start := time.Now()
	err := cmd.Run()
	p.log.Debug(
		"called an outside source", "provider", p.o.Type, "source", p.o.Source, "verb", verb, "instance", id, "took",
		time.Since(start),
	)
	said := ""
	if s := line(string(bad.data)); s != "" {
		said = ": " + s
	}
	switch {
	case ctx.Err() != nil:
		return nil, fail(nil, ctx.Err(), "")
	case errors.Is(inner.Err(), context.DeadlineExceeded):
		return nil, fail(compute.ErrTimeout, fmt.Errorf("no answer within %v%s", p.o.Timeout, said), "")
	case inner.Err() != nil:
		return nil, fail(compute.ErrFailed, errTooLong, "")
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission),
		errors.Is(err, syscall.ENOEXEC):
		return nil, fail(compute.ErrInvalid, err, "see that the executable is there, may be executed and begins with #! or is a program")
	}
	var exit *exec.ExitError
	ended := errors.As(err, &exit)
	a, perr := parse(out.data)
	switch {
	case perr == nil && a.Error != nil:
		return nil, p.hidden(a.Error.err(op, id))
	case ended:
		return nil, fail(compute.ErrFailed, fmt.Errorf("%s ended with %v%s", p.path, exit.ProcessState, said), "")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE):
		return nil, fail(compute.ErrFailed, err, "")
	case perr != nil:
		return nil, fail(compute.ErrFailed, fmt.Errorf("%w%s", perr, said), "see docs/exec-protocol.md")
	}
	return a, nil
}

// stars replaces the secrets in a text by stars.
func (p *Provider) stars(s string) string {
	for _, secret := range p.o.Secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// hide returns err without the secrets in its text.
func (p *Provider) hide(err error) error {
	if err == nil || p.stars(err.Error()) == err.Error() {
		return err
	}
	return errors.New(p.stars(err.Error()))
}

// hidden hides the secrets in an error that the executable reported.
func (p *Provider) hidden(err error) error {
	var e *compute.Error
	if errors.As(err, &e) {
		e.Err, e.Hint = p.hide(e.Err), p.stars(e.Hint)
	}
	return err
}
