package runcmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/runlog"
)

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

// showRun prints all that is recorded of a run.
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
