package runcmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/runlog"
)

func NewLogs(a *cli.App) *cobra.Command {
	follow, raw, tail := false, false, 0
	cmd := &cobra.Command{
		Use:   "logs RUN | INSTANCE",
		Short: "Print what a run wrote, or the last one on an instance",
		Long: `Print what a run wrote: its standard output here on standard output, its standard error on standard error. Of each the first MiB and the last seven are
kept, with a line between that says how much is not. Values of --secret are *** in it. A terminal gets colours, and of all else that would drive it only what it
looks like, as \x1b[2J. Files and programs get each byte as it was written. With --json each line is a document, on standard output.`,
		Example: "  hostler logs last --tail 20\n  hostler logs web-3 -f",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tail < 0 {
				return fault.Invalid("", "--tail %d: less than none", tail)
			}
			lines := -1
			if cmd.Flags().Changed("tail") {
				lines = tail
			}
			return logs(a, cmd.Context(), args[0], lines, follow, raw)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRuns(a, cmd, args, p2)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what it writes, until it ends")
	cmd.Flags().IntVarP(&tail, "tail", "n", 0, "only the last `N` lines of each")
	cmd.Flags().BoolVar(&raw, "raw", false, "let a terminal have all that was written, and do what it says")
	return cmd
}

// logs prints both outputs, each to its own stream: the last lines, or all if lines is negative.
func logs(a *cli.App, ctx context.Context, name string, lines int, follow, raw bool) (err error) {
	log, rec, err := runOf(name)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	tend(a, log, rec)
	out, errs := a.Out, a.Err
	if a.JSON {
		to := &jsonLines{app: a, run: rec, stream: "stdout"}
		tos := &jsonLines{app: a, run: rec, stream: "stderr"}
		defer func() { err = errors.Join(err, to.end(), tos.end()) }()
		out, errs = to, tos
	} else if !raw {
		var endOut, endErrs func() error
		out, endOut = term.Displayed(out)
		errs, endErrs = term.Displayed(errs)
		defer func() { err = errors.Join(err, endOut(), endErrs()) }()
	}
	return log.CopyOutputs(ctx, rec, runlog.OutputOptions{Stdout: out, Stderr: errs, Lines: lines, Follow: follow})
}
