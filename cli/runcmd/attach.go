package runcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/detachedruns"
	"github.com/hostler-project/hostler/run/session"
)

func NewAttach(a *cli.App) *cobra.Command {
	var o detachedruns.AttachOptions
	cmd := &cobra.Command{
		Use:   "attach RUN",
		Short: "Go on with a run whose caller has gone, or look at one",
		Long: `A run whose client was killed, or lost its network, goes on for 30 seconds; one that was started with --detach until it ends. This goes on with it: with its output
from where that was, with input, signals, the terminal's size and the exit status. What it wrote and nobody kept is counted in a line of the output.

Only one may type; others --look. TERM and HUP end attach alone, and Ctrl-C is the command's, as in hostler run; with --look it ends attach. How a run ended is
known there for an hour. docs/attach.md has more.`,
		Example: "  hostler attach last\n  hostler attach last --look",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRuns(a, cmd, args, p2)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return attach(a, cmd.Context(), o, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.Look, "look", false, "only look: input and signals are not the command's")
	f.BoolVar(&o.Take, "take", false, "take it over from who may type now")
	f.BoolVar(&o.All, "all", false, "print all output that is kept there, not only what was not printed yet")
	return cmd
}

// attach attaches to a run.
func attach(a *cli.App, ctx context.Context, o detachedruns.AttachOptions, name string) error {
	rec, err := findRun(name)
	if err != nil {
		return err
	}
	if o.Log, err = runs(); err != nil {
		return err
	}
	o.Follow = func(run string, hide []string, known bool) error { return startRecorder(a, run, hide, known) }
	o.Stdin, o.Stdout, o.Stderr, o.Typed = a.In, a.Out, a.Err, term.IsTerminal(a.In)
	o.Terminal = OwnTerminal(a)
	return detachedruns.Attach(ctx, leasecmd.NewSession(a, &leasecmd.AcquireFlags{}, session.Options{}), o, rec)
}
