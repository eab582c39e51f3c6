package servercmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
)

func newTokenRevoke(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID...",
		Short:   "Revoke tokens at once, with those that were made with them",
		Long:    "Revoke tokens at once. What is open by them ends within a few seconds. `hostler token list` has the IDs; they are not the tokens.",
		Example: "  hostler token revoke k3j5x7q2m4ab",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			for _, id := range args {
				if strings.HasPrefix(id, auth.Prefix) {
					return fault.Invalid("hostler token list has the IDs", "that is a token, and not its ID")
				}
				if err := c.Tokens().Revoke(cmd.Context(), id); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
			if a.Begin(cmd) != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			all, err := c.Tokens().List(cmd.Context())
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, t := range all {
				out = append(out, cobra.CompletionWithDesc(t.ID, t.Name))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
