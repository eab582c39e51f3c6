package servercmd

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

func newTokenList(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tokens that are good: yours, those of projects where you are an operator, and all as an administrator",
		Example: "  hostler token list\n  hostler token list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			all, err := c.Tokens().List(cmd.Context())
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(append([]api.Token{}, all...))
			}
			var rows [][]string
			for _, t := range all {
				rows = append(rows, []string{t.ID, t.Kind, t.Owner, tokenReach(t), untilWhen(t.Expires), lastUse(t), term.Line(t.Name)})
			}
			return a.Table([]string{"token", "kind", "owner", "for", "expires", "used", "name"}, rows)
		},
	}
}

func untilWhen(t *time.Time) string {
	if t == nil {
		return "with its lease"
	}
	return t.Local().Format(time.DateTime)
}

// lastUse says when a token was used last, and from where.
func lastUse(t api.Token) string {
	if t.Used == nil {
		return "never"
	}
	text := t.Used.Local().Format("2006-01-02 15:04")
	if t.From != "" {
		text += " from " + t.From
	}
	return text
}
