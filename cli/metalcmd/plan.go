package metalcmd

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/text/visible"
)

func NewPlan(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "plan [SOURCE...]",
		Short: "Show what would be made, started, stopped and discarded now, and why",
		Long: `Show what the director of a controller would do now about each source, and why: how many instances it has (have), how many its strategy wants (wanted)
and how many may stay (kept), in use and not, and the directives that follow. Nothing is done. Without a controller hostler fill makes what is missing.`,
		Example: "  hostler plan\n  hostler plan web --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return printPlans(a, cmd.Context(), args) },

		ValidArgsFunction: a.CompleteSources,
	}
}

// printPlans prints what the director would do for sources. Without names it leaves out those that
// want nothing.
func printPlans(a *cli.App, ctx context.Context, names []string) error {
	plans, err := plans(a, ctx, names)
	if err != nil {
		return err
	}
	views := []api.Plan{}
	for _, p := range plans {
		// there is nothing to say
		if len(names) == 0 && p.Wanted == 0 && p.Have == 0 && len(p.Directives) == 0 && !p.Broken {
			continue
		}
		if len(names) == 0 || slices.Contains(names, p.Source) {
			views = append(views, p)
		}
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	var rows [][]string
	for _, v := range views {
		why := v.Reason
		if fault := cli.FaultNote(a, v.Source); fault != "" {
			why = "it cannot be used: " + fault
		}
		rows = append(rows, []string{v.Source, strconv.Itoa(v.Have), strconv.Itoa(v.Wanted), strconv.Itoa(v.Kept), term.Line(why)})
	}
	if err := a.Table([]string{"source", "have", "wanted", "kept", "why"}, rows); err != nil {
		return err
	}
	gap := visible.Shown("\n")
	for _, v := range views {
		for _, d := range v.Directives {
			if err := term.Printf(a.Out, "%s%s: %s\n", gap, v.Source, term.Line(words(d, v.DryRun))); err != nil {
				return err
			}
			gap = ""
		}
	}
	return nil
}

// plans asks the controller, or a director in this process that changes nothing.
func plans(a *cli.App, ctx context.Context, names []string) ([]api.Plan, error) {
	if _, err := a.Engine(ctx); err != nil {
		return nil, err
	}
	if a.Remote != nil {
		all, err := a.Remote.Plan(ctx)
		if err != nil {
			return nil, err
		}
		known := make([]string, len(all.Plans))
		for n, p := range all.Plans {
			known[n] = p.Source
		}
		for _, name := range names {
			if !slices.Contains(known, name) {
				return nil, cli.UnknownSource(name, known)
			}
		}
		return all.Plans, nil
	}
	for _, name := range names {
		if _, err := a.Configured(name); err != nil {
			return nil, err
		}
	}
	return controller.OfflinePlans(ctx, a.Host)
}

// words describes a directive for the user.
func words(d api.Directive, dry bool) string {
	what := d.Do
	switch {
	case d.Instance != "":
		what += " " + d.Instance
	case d.Reserve != nil:
		what += " at reserve " + strconv.Itoa(*d.Reserve) + " and spare " + strconv.Itoa(*d.Spare)
	default:
		what += " " + strconv.Itoa(d.Count)
	}
	if dry {
		what += " (dry run)"
	}
	return what + ": " + d.Reason
}
