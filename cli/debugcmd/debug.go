package debugcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// NewDebug returns the command debug.
func NewDebug(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "debug",
		Short: "Find out why a request got what it got",
		Long: "hostler acquire --record FILE writes down how the request was decided; replay decides it again. " +
			"docs/replay.md says what a recording has.",
		Example: "  hostler debug replay decision.jsonl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReplay(a))
	return cmd
}
