package runcmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/remote/shell"
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

func newRunsShow(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "show RUN",
		Short:   "Show a run: the command, where and when, each phase, its tests and files",
		Example: "  hostler runs show last",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRuns(a, cmd, args, p2)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := findRun(args[0])
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(rec)
			}
			return showRun(a, rec)
		},
	}
}

// prunedView is what `runs prune --json` prints.
type prunedView struct {
	Runs  int   `json:"runs"`
	Bytes int64 `json:"bytes"`
}

func newRunsPrune(a *cli.App) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Remove the records of old runs beyond what hostler.conf keeps, now",
		Example: "  hostler runs prune\n  hostler runs prune --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.Host.Configuration()
			if err != nil {
				return err
			}
			settings, err := readRunSettings(cfg)
			if err != nil {
				return err
			}
			log, err := runs()
			if err != nil {
				return err
			}
			ctx, stop := a.UntilSignal(cmd.Context())
			defer stop()
			p, err := log.Prune(ctx, settings.run.limits(), all)
			if err != nil {
				return a.Interrupted(err, fmt.Sprintf("%s removed", term.Counted(p.Runs, "run")))
			}
			if a.JSON {
				return a.PrintJSON(prunedView(p))
			}
			return term.Printf(a.Out, "%s removed, %s\n", term.Counted(p.Runs, "run"), term.ShortSize(p.Bytes))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove all that have ended")
	return cmd
}

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

// commandLine formats the command as a line for a shell.
func commandLine(r runlog.Record) string {
	if len(r.Args) == 0 {
		return "(a shell)"
	}
	return shellWords(r.Args)
}

// shellWords quotes words for a shell.
func shellWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = shell.Word(w)
	}
	return term.Line(strings.Join(out, " "))
}

func showRun(a *cli.App, r runlog.Record) error {
	log, err := runs()
	if err != nil {
		return err
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, term.Line(text))
		}
	}
	line("run", "%s", r.ID)
	line("end", "%s", r.How())
	line("reason", "%s", r.Reason)
	line("error", "%s", r.Error)
	line("command", "%s", commandLine(r))
	line("options", "%s", shellWords(r.Flags))
	line("directory", "%s", r.Directory)
	line("commit", "%s%s", r.Head, map[bool]string{true: ", and changes"}[r.Dirty != nil && *r.Dirty])
	line("tree", "%s", r.Tree)
	line("instance", "%s", r.Instance)
	line("lease", "%s", strings.TrimSpace(r.Name+" "+r.Lease))
	line("owner", "%s", r.Owner)
	line("variables", "%s", strings.Join(r.Env, " "))
	line("secrets", "%s", strings.Join(r.Secrets, " "))
	line("started", "%s", r.Started.Local().Format(time.DateTime))
	line("took", "%s", r.Took())
	line("phases", "%s", r.Phases)
	line("wrote", "%s to standard output, %s to standard error", term.ShortSize(r.Bytes.Stdout), term.ShortSize(r.Bytes.Stderr))
	if r.Bytes.Sent > 0 {
		line("sent", "%s", term.ShortSize(r.Bytes.Sent))
	}
	if t := r.Tests; t != nil {
		line("tests", "%s", testWords(t))
		for _, f := range t.Failed {
			line("", "%s", strings.TrimSuffix(f.Name+": "+f.Message, ": "))
		}
	}
	for _, f := range r.Artifacts {
		line("artifact", "%s  %s", term.ShortSize(f.Bytes), f.File)
	}
	for _, w := range r.Warnings {
		line("warning", "%s", w)
	}
	if r.Shard > 0 {
		line("shard", "%d of %d of %s", r.Shard, r.Shards, r.Parent)
	}
	line("version", "%s", r.Version)
	line("record", "%s", log.Dir+"/"+r.ID)
	_, err = a.Out.Write([]byte(b.String()))
	return err
}

// testWords sums up tests.
func testWords(t *runlog.Tests) string {
	words := []string{term.Counted(t.Tests, "test")}
	if n := t.Failures + t.Errors; n > 0 {
		words = append(words, fmt.Sprintf("%d failed", n))
	} else if t.Tests > 0 {
		words = append(words, "none failed")
	}
	if t.Skipped > 0 {
		words = append(words, fmt.Sprintf("%d skipped", t.Skipped))
	}
	return strings.Join(words, ", ")
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
