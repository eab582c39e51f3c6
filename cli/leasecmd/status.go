package leasecmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/compute/fault"
)

func NewStatus(a *cli.App) *cobra.Command {
	var verbose, watch bool
	var query string
	cmd := &cobra.Command{
		Use:   "status [SOURCE...]",
		Short: "Show sources: what is cached, in use, and how many there may be",
		Long: `Show each source with what it has cached (made and not in use) and in use, and its maximum (0: no limit). Note says what is out of the ordinary:
a broken or paused source, failed and held instances, requests that wait, instances of a source that is configured no more. With -v, and a controller that is a SlapOS master, also what runs on its computers.`,
		Example: "  hostler status -v\n  hostler status web --query available\n  hostler status --json --watch",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !watch {
				return status(a, cmd.Context(), args, verbose, query)
			}
			return watchStatus(a, cmd.Context(), args, verbose, query)
		},
		ValidArgsFunction: a.CompleteSources,
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list the instances too")
	cmd.Flags().StringVar(&query, "query", "", "print one number: `FIELD` available, cached, in-use or max, summed over the sources")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again whenever it changes, until interrupted")
	_ = cmd.RegisterFlagCompletionFunc("query", cobra.FixedCompletions(inventory.Queries, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// status prints the sources, or one number of them. With verbose their instances follow.
func status(a *cli.App, ctx context.Context, names []string, verbose bool, query string) error {
	if query != "" && !slices.Contains(inventory.Queries, query) {
		return fault.Invalid("one of "+strings.Join(inventory.Queries, ", "), "--query %s: no such number", query)
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	a.Due(ctx, names...)
	sources, err := selected(ctx, engine, names)
	if err != nil {
		return err
	}
	if query != "" {
		n := inventory.Sum(sources, query)
		switch {
		case a.JSON:
			return a.PrintJSON(n)
		case n == nil:
			return term.Printf(a.Out, "unlimited\n")
		}
		return term.Printf(a.Out, "%d\n", *n)
	}
	cli.Faults(a, sources)
	if a.JSON {
		return statusJSON(a, ctx, engine, sources, verbose)
	}
	var instances []compute.Instance
	var leases map[compute.ID][]*compute.Lease
	if verbose {
		if instances, leases, err = inventory.InstancesOf(ctx, engine, sources); err != nil {
			return err
		}
	}
	rows := make([][]string, len(sources))
	for i, s := range sources {
		rows[i] = append(CrcacheRow(s), s.Type, note(s, time.Now()))
	}
	if err := a.Table([]string{"source", "cached", "in-use", "max", "type", "note"}, rows); err != nil || !verbose {
		return err
	}
	rows = rows[:0]
	for _, i := range instances {
		rows = append(rows, instanceRows(i, leases[i.ID], time.Now())...)
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	if err := a.Table([]string{"instance", "state", "since", "lease", "owner", "ends", "note"}, rows); err != nil {
		return err
	}
	if err := statusQueue(a, ctx, engine, sources); err != nil {
		return err
	}
	if len(names) == 0 {
		if err := statusNodes(a, ctx); err != nil {
			return err
		}
	}
	store := a.Self().Store
	if store == "" { // the controller does not say
		return nil
	}
	return term.Printf(a.Out, "\nstore: %s\n", term.Line(store))
}
