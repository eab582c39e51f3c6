package runcmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/treewatch"
)

// watchFlags are the options of watch beside those of run.
type watchFlags struct {
	runOptions
	restart bool
}

func NewWatch(a *cli.App) *cobra.Command {
	var o watchFlags
	cmd := &cobra.Command{
		Use:   "watch [INSTANCE | LEASE | SOURCE] [--] COMMAND [ARG...]",
		Short: "Run a command, and again whenever a file of the working tree changes",
		Long: `Run COMMAND as run does, and again each time that the files around you change which run --sync would send: when nothing has changed for 150 ms. It never runs
twice at once: what changes meanwhile is for the next run, or with --restart ends the one that is running (by TERM, after 10 s by KILL). With the name of a source, or none,
one instance is acquired for all runs, and given back at the end. Ctrl-C ends it, and the command with it; the exit status is 128+n when signal n did.`,
		Example: "  hostler watch sandbox -- make test\n  hostler watch web --restart -c 'make && ./serve'",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, words, err := splitRun(a, cmd, args)
			if err != nil || cmd.Flags().Changed("help") {
				return errors.Join(err, helpIf(cmd, err == nil))
			}
			o.shell = cmd.Flags().Changed("command")
			o.given = slices.DeleteFunc(
				givenFlags(cmd),
				func(f string) bool { return strings.HasPrefix(f, "--restart=") || strings.HasPrefix(f, "--no-sync=") },
			)
			return watchTree(a, cmd.Context(), &o, name, words)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	cmd.Flags().SetInterspersed(false)
	o.acquire.Declare(a, cmd)
	o.flags(cmd)
	o.sync.flags(cmd)
	cmd.Flags().StringVarP(&o.script, "command", "c", "", "run `STRING` by sh -c on the instance")
	cmd.Flags().BoolVar(&o.restart, "restart", false, "a change ends the command that is running")
	return cmd
}

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
	err = watchAnd(a, ctx, opt, o.restart, func(stop <-chan struct{}) {
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

// watchAnd calls again now and after each change of a tree, until ctx ends.
func watchAnd(a *cli.App, ctx context.Context, opt scan.Options, restart bool, again func(stop <-chan struct{})) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, changed, ended := make(chan struct{}), make(chan struct{}, 1), make(chan error, 1)
	go func() { // ends with ctx
		defer cancel()
		ended <- treewatch.Tree(ctx, opt, ready, changed)
	}()
	select {
	case <-ready:
		treewatch.Loop(ctx, changed, restart, again)
		cancel()
	case err := <-ended:
		return err
	}
	return <-ended
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
