package runcmd

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

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

// gitlabRun runs a stage of a job on its instance, and tells the runner the exit status of the
// script.
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

// gitlabScript stores the script in a file, so that its commands cannot read the rest of it.
const gitlabScript = `f=$(mktemp) && cat >"$f" || exit 125
if command -v bash >/dev/null; then bash "$f" </dev/null; else sh "$f" </dev/null; fi
s=$?
rm -f "$f"
exit $s`
