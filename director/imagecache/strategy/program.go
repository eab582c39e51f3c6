package strategy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

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
	got := proc.Executable{Path: p.Path, Timeout: timeout, Most: most}.Run(ctx, in)
	if got.Stderr != "" {
		said = ": it said: " + got.Stderr
	}
	fail := func(kind error, hint, text string, args ...any) ([]byte, string, error) {
		return got.Answer, said, &compute.Error{Kind: kind, Err: fmt.Errorf(text, args...), Hint: hint}
	}
	switch {
	case ctx.Err() != nil:
		return got.Answer, said, ctx.Err()
	case got.TooLong:
		return fail(compute.ErrFailed, "", "its answer is longer than %d bytes", most)
	case got.Late:
		return fail(compute.ErrTimeout, "", "no answer within %v%s", timeout, said)
	case got.Exited() != nil:
		return fail(compute.ErrFailed, "", "it ended with %v%s", got.Exited().ProcessState, said)
	case got.NoProgram():
		return fail(compute.ErrInvalid, proc.NoProgramHint, "%w", got.Err)
	case got.Failed():
		return fail(compute.ErrFailed, "", "%w", got.Err)
	}
	return got.Answer, said, nil
}

// Find looks for the executable hostler-ROLE-NAME on PATH. The role is strategy or scout.
func Find(role, name, hint string) (string, error) {
	executable := "hostler-" + role + "-" + name
	if name == "" || strings.ContainsAny(name, `/\`) {
		return "", &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%q: not a name of a %s", name, role)}
	}
	path, err := exec.LookPath(executable)
	if err != nil {
		return "", &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("%s %s: %w", role, name, err),
			Hint: hint + " is an executable " + executable + " on PATH",
		}
	}
	return path, nil
}

// Parse reads an answer: exactly one JSON object. With strict, a key that is not known is an error.
func Parse(answer []byte, to any, strict bool) error {
	if len(bytes.TrimSpace(answer)) == 0 {
		return errors.New("it is empty")
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something comes after the object")
	}
	return nil
}
