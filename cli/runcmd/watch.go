package runcmd

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// watchFlags are the options of watch beside those of run.
type watchFlags struct {
	runOptions
	restart bool
}

func NewWatch(a *cli.App) *cobra.Command {
	var o watchFlags
	cmd := &cobra.Command{
		Use:   "watch [INSTANCE | LEASE | SOURCE] [--] COMMAND [ARG...]",
		Short: "Run a command, and again whenever a file of the working tree changes",
		Long: `Run COMMAND as run does, and again each time that the files around you change which run --sync would send: when nothing has changed for 150 ms. It never runs
twice at once: what changes meanwhile is for the next run, or with --restart ends the one that is running (by TERM, after 10 s by KILL). With the name of a source, or none,
one instance is acquired for all runs, and given back at the end. Ctrl-C ends it, and the command with it; the exit status is 128+n when signal n did.`,
		Example: "  hostler watch sandbox -- make test\n  hostler watch web --restart -c 'make && ./serve'",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, words, err := splitRun(a, cmd, args)
			if err != nil || cmd.Flags().Changed("help") {
				return errors.Join(err, helpIf(cmd, err == nil))
			}
			o.shell = cmd.Flags().Changed("command")
			o.given = slices.DeleteFunc(
				givenFlags(cmd),
				func(f string) bool { return strings.HasPrefix(f, "--restart=") || strings.HasPrefix(f, "--no-sync=") },
			)
			return watchTree(a, cmd.Context(), &o, name, words)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	cmd.Flags().SetInterspersed(false)
	o.acquire.Declare(a, cmd)
	o.flags(cmd)
	o.sync.flags(cmd)
	cmd.Flags().StringVarP(&o.script, "command", "c", "", "run `STRING` by sh -c on the instance")
	cmd.Flags().BoolVar(&o.restart, "restart", false, "a change ends the command that is running")
	return cmd
}
