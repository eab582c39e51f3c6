package runcmd

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/run"
)

func NewRun(a *cli.App) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [INSTANCE | LEASE | SOURCE] [--] [COMMAND [ARG...]]",
		Short: "Run a command on an instance; on a source's name: acquire, run, release",
		Long: `Run COMMAND on an instance that you have acquired, named by its own name or its lease's. With the name of a source, or none, an instance is
acquired for the command and given back after it, whatever happens. Without COMMAND it is a shell.

Arguments arrive as they are given here: no shell takes them apart, unless asked for with -c. Options after COMMAND are the command's; with -- before any
NAME the default source is meant, and with -s there is no NAME. On local and in a sandbox of this machine's own root, the command starts in the current directory, elsewhere
in the login directory; on local with the whole environment, elsewhere with CI, LANG, LC_* and what -e, --env-file, --secret and hostler.conf name. Signals and the terminal's size
are passed on.

Files that the command makes are brought back by --artifact and --get, and reports of its tests read by --junit: docs/runs.md.

Exit status: that of the command, 128+n if signal n ended it; 121 contact lost, 122 the command went well and a file of --require or --get is missing, 124 --timeout passed, 125 hostler failed before the command began,
126 not executable, 127 not found. --report says which it was.`,
		Example: `  hostler run sandbox -- make test
  hostler run web -e TOKEN -c 'make test | tail'
  hostler run pool --keep --name build -- make
  hostler run build -t -- top
  hostler run pool --key nightly-1204 -- make release`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, words, err := splitRun(a, cmd, args)
			if err != nil || cmd.Flags().Changed("help") {
				return errors.Join(err, helpIf(cmd, err == nil))
			}
			if err := o.many.checkZero(cmd); err != nil {
				return err
			}
			o.shell, o.given = cmd.Flags().Changed("command"), givenFlags(cmd)
			return execute(a, cmd.Context(), &o, name, words)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	cmd.Flags().SetInterspersed(false)
	o.allFlags(a, cmd)
	return cmd
}

// execute runs run and shell.
func execute(a *cli.App, ctx context.Context, o *runOptions, name string, words []string) (err error) {
	if o.shell {
		words = scriptWords(o.script, words)
	}
	if err := o.check(words); err != nil {
		return err
	}
	if o.sync.plan {
		return planTree(a, ctx, o, name)
	}
	if o.many.wanted() {
		return runMany(a, ctx, o, name, words)
	}
	result := &run.Result{Started: time.Now()}
	defer func() { err = reported(o.report, result, err) }()
	opt, err := o.request(a, ctx, name, words)
	if err != nil {
		return err
	}
	result, err = run.Run(ctx, &leasecmd.Backend{App: a, Flags: &o.acquire}, opt)
	return err
}
