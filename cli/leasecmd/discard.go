package leasecmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
)

func NewDiscard(a *cli.App) *cobra.Command {
	var force, anyones bool
	cmd := &cobra.Command{
		Use:   "discard INSTANCE...",
		Short: "Unmake instances: leased by you, cached, failed, held, or of a source that is gone",
		Long: `Unmake instances and come back when they are gone. Instances under a lease of yours are given back first; those that nobody has (cached, failed, held,
orphaned) may be discarded too.`,
		Example: "  hostler discard web-3\n  hostler discard $(hostler status --json | jq -r '.instances[] | select(.state == \"held\").name')",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Host.Now = true
			return Release(a, cmd.Context(), args, Scope{}, anyones, compute.ReleaseOptions{Force: force, Discard: true})
		},
		ValidArgsFunction: a.CompleteInstances,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "as release -f; discard does so in any case")
	_ = cmd.Flags().MarkHidden("force")
	cmd.Flags().BoolVar(&anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}
