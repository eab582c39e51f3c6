package runcmd

import (
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/runlog"
)

func NewRuns(a *cli.App) *cobra.Command {
	failed, lease := false, ""
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List what ran, the newest first: where, how long, how it ended",
		Long: `List the runs of this user on this machine, whichever kind of computer they ran on, with a controller or without, the newest first. A run is named by its
id, or by the beginning of it that no other has; "last" is the newest. They are kept for 30 days, 1,000 of them, 2 GiB together, unless hostler.conf says
otherwise: docs/runs.md.`,
		Example: "  hostler runs --failed\n  hostler runs --lease build --json\n  hostler runs show last",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listRuns(a, failed, lease)
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "only those that did not end with 0, or were lost")
	cmd.Flags().StringVar(&lease, "lease", "", "only those on the `NAME` of a lease, or of an instance")
	cmd.AddCommand(newRunsShow(a), newRunsPrune(a))
	return cmd
}

// noWords refuses words that are not subcommands.
func noWords(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cli.UnknownCommand(cmd, args[0])
	}
	return nil
}

// listRuns prints the records of runs: all, those that failed, or those of a lease.
func listRuns(a *cli.App, failed bool, lease string) error {
	log, err := runs()
	if err != nil {
		return err
	}
	all, err := log.List()
	if err != nil {
		return err
	}
	tend(a, log, all...)
	all = slices.DeleteFunc(all, func(r runlog.Record) bool { return failed && !r.Failed() || lease != "" && !r.On(lease) })
	if a.JSON {
		return a.PrintJSON(append([]runlog.Record{}, all...))
	}
	var rows [][]string
	for _, r := range all {
		rows = append(
			rows,
			[]string{r.ID, r.Started.Local().Format(time.DateTime), r.Took(), term.OrDash(term.Line(r.Instance)), r.How(), commandLine(r)},
		)
	}
	return a.Table([]string{"run", "started", "took", "instance", "end", "command"}, rows)
}

// completeRuns offers all runs, newest first.
func completeRuns(a *cli.App, cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
	if _ = a.Begin(cmd); len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	log, err := runs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := log.List()
	for _, r := range all {
		out = append(out, cobra.CompletionWithDesc(r.ID, r.How()+", "+term.Ago(r.Started)+": "+commandLine(r)))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
