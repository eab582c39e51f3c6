package leasecmd

import (
	"cmp"
	"context"

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
			done := held(cmd.Context(), engine, args)
			if err := engine.Hold(cmd.Context(), a.Who(cmd.Context(), engine, args...), reason, asIDs(args)...); err != nil {
				return err
			}
			for _, line := range done {
				a.Say("%s", line)
			}
			return nil
		},
		ValidArgsFunction: a.CompleteInstances,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "say why, in `WORDS` that status shows")
	return cmd
}

// held says, before names are held, what will have become of them: a lease's name is gone then.
func held(ctx context.Context, engine cli.Engine, names []string) (lines []string) {
	for _, name := range names {
		i, l, err := engine.Resolve(ctx, name)
		if err != nil {
			continue // holding it gives the error
		}
		line := string(i.ID) + ": held"
		if l != nil {
			line += "; the lease " + cmp.Or(l.Name, l.ID) + " has ended"
		}
		lines = append(lines, line+"; hostler discard "+string(i.ID)+" ends it")
	}
	return lines
}
