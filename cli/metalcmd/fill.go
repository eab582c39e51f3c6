package metalcmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

func NewFill(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fill [SOURCE...]",
		Short: "Make what sources want to have: their reserve, and spare ones beside those in use",
		Long: `Make what is missing to what the sources want: reserve (so many, cached and in use together) and spare (so many ready beside those in use), up to
maximum. Prints the names of what was made. Without a controller nothing else makes instances ahead of need.`,
		Example: "  hostler fill\n  hostler fill web",
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.Engine(cmd.Context())
			if err != nil {
				return err
			}
			ctx, stop := a.UntilSignal(cmd.Context())
			defer stop()
			a.WarnOfHooks(args...)
			made, err := engine.Fill(ctx, args...)
			a.Ring(ctx)
			err = a.Interrupted(err, "what is made stays")
			if a.JSON {
				if made == nil {
					made = []compute.ID{}
				}
				if e := a.PrintJSON(made); err == nil {
					err = e
				}
				return err
			}
			if len(made) > 0 {
				names := make([]string, len(made))
				for i, id := range made {
					names[i] = string(id)
				}
				if e := term.Printf(a.Out, "%s\n", strings.Join(names, " ")); err == nil {
					err = e
				}
			}
			return err
		},
		ValidArgsFunction: a.CompleteSources,
	}
	return cmd
}
