package leasecmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
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
			var told []string
			for _, name := range args { // what had a lease has none afterwards
				told = append(told, heldText(cmd.Context(), engine, name))
			}
			if err := engine.Hold(cmd.Context(), a.Who(cmd.Context(), engine, args...), reason, asIDs(args)...); err != nil || a.Quiet {
				return err
			}
			return term.Printf(a.Err, "%s\n", strings.Join(told, "\n"))
		},
		ValidArgsFunction: a.CompleteInstances,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "say why, in `WORDS` that status shows")
	return cmd
}

// heldText says what holding an instance means for it and its lease.
func heldText(ctx context.Context, engine cli.Engine, name string) string {
	i, l, err := engine.Resolve(ctx, name)
	if err != nil {
		return name + ": held"
	}
	lease := ""
	if l != nil && l.Name != "" {
		lease = "the lease " + l.Name + " has ended; "
	} else if l != nil {
		lease = "its lease has ended; "
	}
	return fmt.Sprintf("%s: held; %s`hostler discard %s` ends it", i.ID, lease, i.ID)
}
