package runcmd

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
)

func newGitlabPrepare(a *cli.App) *cobra.Command {
	var flags leasecmd.AcquireFlags
	cmd := &cobra.Command{
		Use:     "prepare",
		Short:   "Stage prepare: acquire an instance for the job, waiting for up to an hour",
		Example: "  hostler gitlab prepare -s web --memory 4G",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return gitlabStage(a, gitlabPrepare(a, cmd.Context(), &flags))
		},
	}
	flags.Declare(a, cmd)
	return cmd
}

// gitlabPrepare acquires the instance of a job. Its lease ends some time after the job must have
// ended.
func gitlabPrepare(a *cli.App, ctx context.Context, flags *leasecmd.AcquireFlags) error {
	name, err := gitlabLease()
	if err != nil {
		return err
	}
	flags.Name = name
	limit := gitlabTime
	if s, err := strconv.ParseUint(gitlabJob("CI_JOB_TIMEOUT"), 10, 31); err == nil && s > 0 {
		limit = time.Duration(s) * time.Second
	}
	if !flags.Ttl.Given {
		flags.Ttl = term.DurationFlag{Value: limit + gitlabMore, Given: true}
	}
	if !flags.Wait.Given {
		flags.Wait = term.DurationFlag{Value: gitlabWait, Given: true}
	}
	flags.Purpose = cmp.Or(flags.Purpose, gitlabJob("CI_JOB_URL"), "GitLab job "+gitlabJob("CI_JOB_ID"))
	for _, label := range [][2]string{
		{"gitlab_project", "CI_PROJECT_PATH"}, {"gitlab_job", "CI_JOB_NAME"}, {"gitlab_ref", "CI_COMMIT_REF_NAME"},
	} {
		if v := gitlabJob(label[1]); v != "" {
			flags.Labels = append(flags.Labels, label[0]+"="+v)
		}
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	// from an earlier prepare, if the runner was restarted
	if i, l, err := engine.Resolve(ctx, name); err == nil && l != nil && l.Name == name {
		return term.Printf(a.Out, "The job has %s.\n", i.ID)
	}
	leases, err := leasecmd.Acquire(a, ctx, flags, 1, "")
	if err != nil {
		return err
	}
	return term.Printf(a.Out, "The job runs on %s of %s.\n", leases[0].Instance, leases[0].Source)
}

const (
	gitlabTime = time.Hour        // if the runner does not tell the job's time limit
	gitlabMore = 15 * time.Minute // for the time before and after the job
	gitlabWait = time.Hour        // in the queue
)
