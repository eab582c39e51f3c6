package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

var errTooLong = fmt.Errorf("an answer beyond %d bytes", limit)

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
	start := time.Now()
	got := proc.Executable{Path: p.path, Timeout: p.o.Timeout, Most: limit}.Run(ctx, in.Bytes())
	p.log.Debug(
		"called an outside source", "provider", p.o.Type, "source", p.o.Source, "verb", verb, "instance", id, "took",
		time.Since(start),
	)
	said := ""
	if got.Stderr != "" {
		said = ": " + got.Stderr
	}
	switch {
	case ctx.Err() != nil:
		return nil, fail(nil, ctx.Err(), "")
	case got.Late:
		return nil, fail(compute.ErrTimeout, fmt.Errorf("no answer within %v%s", p.o.Timeout, said), "")
	case got.TooLong:
		return nil, fail(compute.ErrFailed, errTooLong, "")
	case got.NoProgram():
		return nil, fail(compute.ErrInvalid, got.Err, proc.NoProgramHint)
	}
	a, perr := parse(got.Answer)
	switch {
	case perr == nil && a.Error != nil:
		return nil, p.hidden(a.Error.err(op, id))
	case got.Exited() != nil:
		return nil, fail(compute.ErrFailed, fmt.Errorf("%s ended with %v%s", p.path, got.Exited().ProcessState, said), "")
	case got.Failed():
		return nil, fail(compute.ErrFailed, got.Err, "")
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
