package compatcmd

import (
	"context"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// crcacheStatus prints the sources, one number of them, or with -v their instances too.
func crcacheStatus(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	if o.query != "" && !slices.Contains(inventory.Queries, o.query) {
		return term.Exit(crcacheBadQuery(a, o.query))
	}
	a.Due(ctx, words...)
	sources, err := engine.Status(ctx)
	if err != nil {
		return err
	}
	// hostler's own sources have instances in the same state. They are not configured here, so
	// nothing is known of them.
	sources = slices.DeleteFunc(sources, func(s inventory.SourceStatus) bool { return s.Orphaned && !a.IsSource(s.Name) })
	if sources, err = leasecmd.Choose(sources, words); err != nil {
		return err
	}
	if o.query != "" {
		if n := inventory.Sum(sources, o.query); n != nil {
			return term.Printf(a.Out, "%d\n", *n)
		}
		return term.Printf(a.Out, "unlimited\n")
	}
	rows := make([][]string, len(sources))
	for i, s := range sources {
		rows[i] = leasecmd.CrcacheRow(s)
	}
	if err := term.Table(a.Out, []string{"source", "cached", "in-use", "max"}, rows); err != nil || !o.verbose {
		return err
	}
	instances, _, err := inventory.InstancesOf(ctx, engine, sources)
	if err != nil {
		return err
	}
	rows = rows[:0]
	last := ""
	for _, i := range instances {
		if i.State != compute.Leased {
			continue
		}
		name := i.Source
		if name == last {
			name = ""
		}
		last = i.Source
		rows = append(rows, []string{name, string(i.ID)})
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	return term.Table(a.Out, []string{"source", "instance"}, rows)
}

func crcacheBadQuery(a *cli.App, query string) int {
	_ = term.Printf(a.Err, "crcache: --query %s: one of %s\n", query, strings.Join(inventory.Queries, ", "))
	return crcacheBadOption
}
