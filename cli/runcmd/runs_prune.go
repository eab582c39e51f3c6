package runcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

func newRunsPrune(a *cli.App) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Remove the records of old runs beyond what hostler.conf keeps, now",
		Example: "  hostler runs prune\n  hostler runs prune --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.Host.Configuration()
			if err != nil {
				return err
			}
			settings, err := readRunSettings(cfg)
			if err != nil {
				return err
			}
			log, err := runs()
			if err != nil {
				return err
			}
			ctx, stop := a.UntilSignal(cmd.Context())
			defer stop()
			p, err := log.Prune(ctx, settings.run.limits(), all)
			if err != nil {
				return a.Interrupted(err, fmt.Sprintf("%s removed", term.Counted(p.Runs, "run")))
			}
			if a.JSON {
				return a.PrintJSON(prunedView(p))
			}
			return term.Printf(a.Out, "%s removed, %s\n", term.Counted(p.Runs, "run"), term.ShortSize(p.Bytes))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove all that have ended")
	return cmd
}

// prunedView is what `runs prune --json` prints.
type prunedView struct {
	Runs  int   `json:"runs"`
	Bytes int64 `json:"bytes"`
}
