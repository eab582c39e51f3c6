package leasecmd

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

func NewExtend(a *cli.App) *cobra.Command {
	var ttl term.DurationFlag
	cmd := &cobra.Command{
		Use:     "extend INSTANCE|LEASE...",
		Short:   "Keep leases longer: their ttl starts again, and they count as used now",
		Example: "  hostler extend build\n  hostler extend web-3 --ttl 4h",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.Engine(cmd.Context())
			if err != nil {
				return err
			}
			leases, err := engine.Extend(cmd.Context(), a.Who(cmd.Context(), engine, args...), ttl.OrNone(), asIDs(args)...)
			if err != nil {
				return err
			}
			views := make([]api.Lease, len(leases))
			for i, l := range leases {
				views[i] = api.NewLease(l)
				if d := l.Deadline(); !a.JSON && !a.Quiet {
					end := "has no end"
					if !d.IsZero() {
						end = "ends in " + term.ShortDuration(time.Until(d).Round(time.Second))
					}
					if err := term.Printf(a.Out, "%s: the lease %s\n", l.Instance, end); err != nil {
						return err
					}
				}
			}
			if a.JSON {
				return a.PrintJSON(views)
			}
			return nil
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	cmd.Flags().Var(&ttl, "ttl", "end so long from now, and no more as the lease was given (0: never)")
	return cmd
}
