package runcmd

import (
	"errors"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
)

// NewGitlab returns the command with the stages of a custom executor of GitLab's runner.
func NewGitlab(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gitlab",
		Short: "Be the driver of a GitLab Runner's custom executor: each job on an instance of its own",
		Long: `Be what a GitLab Runner calls with executor = "custom": prepare acquires an instance for the job, run runs each part of the job on it, cleanup gives it back. docs/fits-in.md
has the runner's configuration. The lease is called gitlab-PROJECT-JOB and ends at last with the job's time limit.`,
		Example: "  hostler gitlab prepare --source web",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGitlabConfig(a), newGitlabPrepare(a), newGitlabRun(a), newGitlabCleanup(a))
	return cmd
}

// gitlabView is what the stage config tells the runner.
type gitlabView struct {
	BuildsDir       string            `json:"builds_dir"`
	CacheDir        string            `json:"cache_dir"`
	BuildsDirShared bool              `json:"builds_dir_is_shared"`
	Driver          map[string]string `json:"driver"`
}

func newGitlabConfig(a *cli.App) *cobra.Command {
	var builds, cache string
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Stage config: say where a job's files go on its instance",
		Example: "  hostler gitlab config --builds-dir /home/ci/builds",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.PrintJSON(gitlabView{
				BuildsDir: builds, CacheDir: cache,
				Driver: map[string]string{"name": "hostler", "version": version.Read().Version},
			})
		},
	}
	cmd.Flags().StringVar(&builds, "builds-dir", "/tmp/builds", "check projects out below `DIR` on the instance")
	cmd.Flags().StringVar(&cache, "cache-dir", "/tmp/cache", "keep the job's caches below `DIR` on the instance")
	return cmd
}

// gitlabStage ends with one of the runner's statuses: one for a failure of the job, the other for a
// failure of hostler.
func gitlabStage(a *cli.App, err error) error {
	var s term.Exit
	switch {
	case err == nil:
		return nil
	case errors.As(err, &s):
		a.Tell(err)
		return term.Exit(gitlabStatus("BUILD_FAILURE_EXIT_CODE", 1))
	}
	a.Tell(err)
	return term.Exit(gitlabStatus("SYSTEM_FAILURE_EXIT_CODE", 2))
}

func gitlabStatus(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 && n < 256 {
		return n
	}
	return otherwise
}

// gitlabJob returns a variable of the job, which the runner passes on.
func gitlabJob(name string) string { return os.Getenv("CUSTOM_ENV_" + name) }

// gitlabLease is the name of the job's lease.
func gitlabLease() (string, error) {
	job := gitlabJob("CI_JOB_ID")
	if _, err := strconv.ParseUint(job, 10, 63); err != nil {
		return "", fault.Invalid(
			"a GitLab Runner calls it, with executor = \"custom\"", "CUSTOM_ENV_CI_JOB_ID is %q, and not a job's number",
			job,
		)
	}
	project := gitlabJob("CI_PROJECT_ID")
	if _, err := strconv.ParseUint(project, 10, 63); err != nil {
		project = "0"
	}
	return "gitlab-" + project + "-" + job, nil
}
