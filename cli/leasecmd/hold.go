package leasecmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

func NewHold(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "hold INSTANCE...",
		Short: "Keep instances aside for a person to look at",
		Long: `Keep instances aside: they are not handed out, not cleaned and not discarded, and take no place under the source's maximum, until hostler discard
ends it.`,
		Example: "  hostler hold web-3 --reason 'disk full after the tests'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.Engine(cmd.Context())
			if err != nil {
				return err
			}
			return engine.Hold(cmd.Context(), a.Who(cmd.Context(), engine, args...), reason, asIDs(args)...)
		},
		ValidArgsFunction: a.CompleteInstances,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "say why, in `WORDS` that status shows")
	return cmd
}
