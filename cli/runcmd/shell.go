package runcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

func NewShell(a *cli.App) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:     "shell [INSTANCE | LEASE | SOURCE]",
		Short:   "Open a shell on an instance; on a source's name: acquire, shell, release",
		Example: "  hostler shell web-3\n  hostler shell pool",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.verb, o.given = "shell", givenFlags(cmd)
			if a.Flags.Source != "" && len(args) > 0 {
				return twoNames(a, args[0])
			}
			return execute(a, cmd.Context(), &o, cli.First(args), nil)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	o.acquire.Declare(a, cmd)
	o.flags(cmd)
	return cmd
}
