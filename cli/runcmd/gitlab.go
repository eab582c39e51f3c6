package runcmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
)

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

func newGitlabRun(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "run SCRIPT STAGE",
		Short:   "Stage run: run one of the job's scripts on its instance",
		Example: "  hostler gitlab run /tmp/script123 build_script",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return gitlabStage(a, gitlabRun(a, cmd.Context(), args[0]))
		},
	}
}

func newGitlabCleanup(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "cleanup",
		Short:   "Stage cleanup: give the job's instance back",
		Example: "  hostler gitlab cleanup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return gitlabStage(a, gitlabCleanup(a, cmd.Context()))
		},
	}
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

const (
	gitlabTime = time.Hour        // if the runner does not tell the job's time limit
	gitlabMore = 15 * time.Minute // for the time before and after the job
	gitlabWait = time.Hour        // in the queue
)

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

// gitlabScript stores the script in a file, so that its commands cannot read the rest of it.
const gitlabScript = `f=$(mktemp) && cat >"$f" || exit 125
if command -v bash >/dev/null; then bash "$f" </dev/null; else sh "$f" </dev/null; fi
s=$?
rm -f "$f"
exit $s`

func gitlabRun(a *cli.App, ctx context.Context, script string) error {
	name, err := gitlabLease()
	if err != nil {
		return err
	}
	f, err := os.Open(script)
	if err != nil {
		return fault.Invalid("", "the job's script: %flags", err)
	}
	defer f.Close()
	a.In = io.Reader(f)
	o := &runOptions{dir: "/"}
	err = execute(a, ctx, o, name, []string{"sh", "-c", gitlabScript})
	var s term.Exit
	if !errors.As(err, &s) {
		return err
	}
	if file := os.Getenv("BUILD_EXIT_CODE_FILE"); file != "" {
		if err := os.WriteFile(file, []byte(strconv.Itoa(int(s))), 0o600); err != nil {
			return err
		}
	}
	return s
}

func gitlabCleanup(a *cli.App, ctx context.Context) error {
	name, err := gitlabLease()
	if err != nil {
		return err
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	err = engine.Release(ctx, compute.Who{Owner: a.Owner()}, compute.ReleaseOptions{}, compute.ID(name))
	if errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrNotLeased) {
		return nil // prepare gave none, or it ended
	}
	a.Ring(ctx)
	return err
}
