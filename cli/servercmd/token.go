package servercmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

func NewToken(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the controller's tokens",
		Long: `A token lets a program in, by HTTP and in $HOSTLER_TOKEN, as the user who made it, as far as the token goes: for one project, with a lower role, with some
permissions or for one source alone. It is shown once, and the controller keeps no more than its hash.`,
		Example: "  hostler token create --name ci --project web --role user --life 30d --output ci.token\n  hostler token list\n  hostler token revoke ID",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(a), newTokenList(a), newTokenRevoke(a))
	return cmd
}
