package sourcecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host/check"
)

// byHand is how a source is made.
const byHand = "write ~/.config/hostler/sources/NAME/source.conf; docs/sources.md has the keys"

func NewSource(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "source",
		Short:   "List, show and test sources",
		Example: "  hostler source list\n  hostler source test web",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Annotations: map[string]string{ // hints for words that are no commands
			"add": byHand, "create": byHand, "new": byHand,
		},
	}
	one := func(use, short, long, example string, run func(context.Context, string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Long: long, Example: example, Args: cobra.ExactArgs(1), ValidArgsFunction: a.CompleteSources,
			RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args[0]) },
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the sources that are configured",
		Long:    "List the sources that are configured: here, or at the controller that commands ask where that has a configuration of its own.",
		Example: "  hostler source list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return sourceList(a, cmd.Context()) },
	})
	one(
		"show SOURCE", "Show how a source is configured",
		"Show how a source is configured. Of a controller's that has a configuration of its own it is what the controller tells.",
		"  hostler source show web", func(ctx context.Context, name string) error { return sourceShow(a, ctx, name) },
	)
	one("test SOURCE", "Take an instance, run a command on it, discard it: timed",
		"Take an instance of a source (one is made where none is ready), connect to it, run `true` on it, and discard it, each timed.\nA source that is paused after failures is tried anew.",
		"  hostler source test web", func(ctx context.Context, name string) error { return sourceTest(a, ctx, name) })
	return cmd
}

// sourceList prints the sources of the configuration, or those of a controller that has another
// one.
func sourceList(a *cli.App, ctx context.Context) error {
	far, err := elsewhere(a, ctx)
	if err != nil {
		return err
	}
	views := []configuredView{}
	var rows [][]string
	if far {
		all, err := farSources(a, ctx)
		if err != nil {
			return err
		}
		for _, s := range all {
			views = append(views, configuredView{Name: s.Name, Type: s.Type, Shadowed: []string{}, Error: term.TextOf(s.Broken)})
			rows = append(rows, []string{s.Name, s.Type, "controller", term.Line(term.TextOf(s.Broken))})
		}
		return listSources(a, views, rows)
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	for _, s := range cfg.Sources {
		wrong := check.FaultOf(s)
		views = append(views, configuredView{s.Name, s.Type, s.File, s.Applied, append([]string{}, s.Shadowed...), term.TextOf(wrong)})
		rows = append(rows, []string{s.Name, s.Type, comesFrom(s), term.Note(wrong)})
	}
	return listSources(a, views, rows)
}

// comesFrom says in a word where a source is defined.
func comesFrom(s *config.Source) string {
	switch {
	case s.Applied:
		return "applied"
	case s.File == "":
		return "built in"
	}
	return "file"
}

func listSources(a *cli.App, views []configuredView, rows [][]string) error {
	if a.JSON {
		return a.PrintJSON(views)
	}
	return term.Table(a.Out, []string{"source", "type", "from", "error"}, rows)
}
