package runcmd

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

func NewJob(a *cli.App) *cobra.Command {
	plan := false
	cmd := &cobra.Command{
		Use:   "job NAME [-- ARG...]",
		Short: "Run what a job's file says, in a copy of the working tree",
		Long: `A file jobs/NAME.conf beside hostler.conf, or in a tree's .hostler, says what is run, on which source, with which variables, and what is brought back. It is run as
hostler run --sync would run it; words after -- are added to its command. Those of a tree wait for hostler trust approve, which holds for their content.
docs/jobs.md has the keys.`,
		Example: "  hostler job unit\n  hostler job unit -- -run TestOne\n  hostler job unit --plan\n  hostler job list",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 1 && (at >= 0 || len(args) > 1) {
				return fault.Invalid("hostler job NAME -- ARG...", "job: one NAME, and what is added to its command after --")
			}
			return job(a, cmd.Context(), args[0], args[1:], plan)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
			_ = a.Begin(cmd)
			if cfg, err := a.Host.Configuration(); err == nil && len(args) == 0 {
				for _, j := range cfg.Jobs {
					out = append(out, cobra.CompletionWithDesc(j.Name, jobText(j)))
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&plan, "plan", false, "show what would be sent, and to which computer; do nothing")
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the jobs: what each runs, and where its file is",
		Example: "  hostler job list\n  hostler job list --json", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return jobList(a) },
	})
	return cmd
}

// job runs a job by its command line.
func job(a *cli.App, ctx context.Context, name string, extra []string, plan bool) error {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	j, err := cfg.Job(name)
	if errors.Is(err, fs.ErrNotExist) {
		var names []string
		for _, j := range cfg.Jobs {
			names = append(names, j.Name)
		}
		return &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no job of this name"),
			Hint: term.DidYouMean(name, names, "hostler job "),
		}
	}
	if err != nil {
		return host.ConfigError(err)
	}
	root := a.Commands(a)
	root.SetArgs(jobLine(j, extra, plan))
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	return root.ExecuteContext(ctx)
}

// jobLine is the command line of a job.
func jobLine(j *config.Job, extra []string, plan bool) []string {
	line := []string{"run"}
	add := func(option string, values ...string) {
		for _, v := range values {
			if v != "" {
				line = append(line, "--"+option+"="+v)
			}
		}
	}
	add("source", j.Source)
	add("env", j.Env...)
	add("junit", j.JUnit...)
	add("artifact", j.Artifacts...)
	add("require", j.Require...)
	add("root", j.Root)
	if j.Timeout > 0 {
		add("timeout", j.Timeout.String())
	}
	if j.Shards > 0 {
		add("shards", strconv.Itoa(j.Shards))
	}
	for option, given := range map[string]bool{
		"keep": j.Keep, "large": j.Large, "sync": j.Sync == "yes", "sync=dir": j.Sync == "dir", "plan": plan,
	} {
		if given {
			line = append(line, "--"+option)
		}
	}
	slices.Sort(line[1:])
	add("command", j.Shell)
	return slices.Concat(line, []string{"--"}, j.Words, extra)
}
