package compatcmd

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	runner "github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/session"
)

// crcacheRun runs a command where a name says.
func crcacheRun(a *cli.App, ctx context.Context, _ *crcacheOptions, words []string) (err error) {
	if len(words) == 0 {
		return usage("run where? NAME [COMMAND...]")
	}
	b := &leasecmd.Backend{App: a}
	r := runner.New(b, runner.Options{
		Args: words[1:], Stdin: a.In, Stdout: a.Out, Stderr: a.Err, Signals: true, Typed: term.IsTerminal(a.In),
		Printer: &a.Terminal, Terminal: runcmd.OwnTerminal(a), Session: session.Options{Keep: true},
	})
	if err := crcacheLease(a, ctx, b, r.Session, words[0]); err != nil {
		return err
	}
	err = r.Run(ctx)
	var own term.Exit
	if err != nil && !errors.As(err, &own) && (errors.Is(err, compute.ErrNoCommand) || errors.Is(err, compute.ErrNotExecutable)) {
		_ = term.Printf(a.Err, "crcache: %s\n", term.ErrorText(err))
		return term.Exit(crcacheFailed)
	}
	return err
}

// crcacheLease makes a session use the named instance: under its lease, or this machine itself
// without one.
func crcacheLease(a *cli.App, ctx context.Context, b *leasecmd.Backend, s *session.Session, name string) (err error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	s.Engine, s.Who = engine, a.Who(ctx, engine, name)
	i, lease, err := engine.Resolve(ctx, name)
	switch {
	case err == nil && lease != nil:
		err = s.Take(ctx, i)
	case localOf(a, name) != "":
		s.Lease, b.Direct, err = compute.Lease{Instance: compute.ID(name)}, localOf(a, name), nil
	case err == nil:
		err = s.Take(ctx, i) // this reports that it is not acquired
	}
	s.Given = &s.Lease
	return err
}

// localOf returns the source of type local whose only instance has this name, or "". crcache uses
// it without a lease.
func localOf(a *cli.App, name string) string {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return ""
	}
	for _, s := range cfg.Sources {
		if s.Kind.Itself && s.Err == nil && name == s.Name+"-local" {
			return s.Name
		}
	}
	return ""
}

func crcacheCp(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	if len(words) < 2 {
		return usage("cp SRC... DST")
	}
	return runcmd.Cp(a, ctx, words[:len(words)-1], words[len(words)-1], o.recursive, false)
}
