package runcmd

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/run/workspace/treewatch"
)

// watchTree runs a command again after each change.
func watchTree(a *cli.App, ctx context.Context, o *watchFlags, name string, words []string) error {
	if len(words) == 0 && !o.shell {
		return fault.Invalid("", "watch wants a COMMAND")
	}
	if o.sync.no && o.sync.how != "" {
		return fault.Invalid("", "--sync and --no-sync: one of them")
	}
	if !o.sync.no && o.sync.how == "" {
		o.sync.how = "yes"
	}
	if o.stdin == "" {
		o.stdin = "none" // several runs cannot share it
	}
	s, err := readSync(a)
	if err != nil {
		return err
	}
	opt, _, err := s.scanOptions(&o.sync)
	if err != nil {
		return err
	}
	hold := leasecmd.NewSession(a, &o.acquire, session.Options{Any: o.any})
	defer hold.Backend.Close()
	base := ctx
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	if err := hold.Obtain(ctx, name); err != nil {
		return a.Interrupted(err, "the command has not begun")
	}
	defer hold.ReleaseTemporary(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if hold.Temporary {
		renewing := make(chan struct{})
		go func() { defer close(renewing); hold.Watch(ctx, cancel) }()
		defer func() { cancel(nil); <-renewing }()
	}
	o.acquire = leasecmd.AcquireFlags{} // it is acquired already
	err = treewatch.Run(ctx, opt, o.restart, func(stop <-chan struct{}) {
		each := o.runOptions
		each.stop = stop
		began := time.Now()
		err := execute(a, base, &each, string(hold.Instance.ID), words)
		select {
		case <-stop: // a change ended the run
		case <-ctx.Done(): // there will be no other run
		default:
			told(a, err, began)
		}
	})
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, session.ErrLeaseEnded) {
		err = cause
	}
	if by := a.Signal(); by != "" && (err == nil || errors.Is(err, context.Canceled)) {
		return term.Exit(128 + compute.SignalNumber(by))
	}
	return err
}

// told prints how a run ended, and that there will be another.
func told(a *cli.App, err error, began time.Time) {
	took := time.Since(began).Round(10 * time.Millisecond)
	var s term.Exit
	switch {
	case err != nil && !errors.As(err, &s):
		a.Tell(err)
	case a.Quiet:
	case err == nil:
		_ = term.Printf(a.Err, "%s: done in %v; again at the next change\n", a.Program, took)
	default:
		_ = term.Printf(a.Err, "%s: exit status %d after %v; again at the next change\n", a.Program, int(s), took)
	}
}
