package metalcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

func NewDirector(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "director",
		Short:   "Keep images ready on bare metal, and try out how sources are kept filled",
		Long:    "What the director of a controller does about sources is shown by hostler plan; here its strategies are tried out, and images are kept ready on bare-metal\nnodes. See docs/director.md, and docs/director-metal.md for bare metal.",
		Example: "  hostler director simulate trace.csv --svg plot.svg\n  hostler director run --once --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newSimulate(a), newMetalPlan(a), newDirectorImport(a), newMetalRun(a), newMetalExplain(a), newMetalConfirm(a),
		newMetalForget(a),
	)
	return cmd
}
