package deploycmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

func NewList(a *cli.App) *cobra.Command {
	var all bool
	var labels []string
	cmd := &cobra.Command{
		Use:   "list [NAME | PREFIX*]...",
		Short: "List nodes: the computers that deploy made and that are there still",
		Long: `List your nodes by name, with the instances under them. Names, and beginnings of names with a * behind, choose among them. Other leases than those that deploy made are
shown by ` + "`hostler status -v`" + `.`,
		Example: "  hostler list\n  hostler list -s lab 'test-*'\n  hostler list --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return list(a, cmd.Context(), args, labels, all)
		},
		ValidArgsFunction: func(cmd *cobra.Command, p1 []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeNodes(a, cmd, p1, p2)
		},
	}
	a.WithSource(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "everybody's")
	cmd.Flags().StringArrayVarP(&labels, "label", "l", nil, "those with the label `KEY=VALUE` alone; may be repeated")
	return cmd
}

// list prints the nodes that fit all conditions. With all it has those of other users too.
func list(a *cli.App, ctx context.Context, patterns, labels []string, all bool) error {
	for _, l := range labels {
		if key, _, ok := strings.Cut(l, "="); !ok || key == "" {
			return fault.Invalid("", "--label %s: not KEY=VALUE", l)
		}
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	if a.Flags.Source != "" && !a.IsSource(a.Flags.Source) {
		return noSource(a, ctx, a.Flags.Source)
	}
	a.Due(ctx)
	owner := a.Owner()
	if all {
		owner = ""
	}
	found, err := deploy.List(ctx, engine, owner)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(n deploy.Existing) bool {
		return !n.Made() || a.Flags.Source != "" && n.Lease.Source != a.Flags.Source ||
			!matches(n.Name(), patterns) || !labelled(n.Lease.Labels, labels)
	})
	if a.JSON {
		views := []NodeView{}
		for _, n := range found {
			n.Instance = sshFacts(a, ctx, n.Instance)
			views = append(views, viewNode(n))
		}
		return a.PrintJSON(views)
	}
	header := []string{"node", "instance", "source", "state", "address", "age", "ends"}
	if all {
		header = append(header, "owner")
	}
	var rows [][]string
	for _, n := range found {
		row := []string{
			n.Name(), string(n.Lease.Instance), n.Lease.Source, string(n.Instance.State), term.Line(n.Instance.Address),
			term.ShortDuration(time.Since(n.Lease.Given)), "",
		}
		if end := n.Lease.Deadline(); !end.IsZero() {
			row[6] = "in " + term.ShortDuration(time.Until(end))
		}
		if all {
			row = append(row, term.Line(n.Lease.Owner))
		}
		rows = append(rows, row)
	}
	return a.Table(header, rows)
}

// matches reports whether a name is one of those, or begins as one with a * says. None: any is.
func matches(name string, patterns []string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return name == p || open && strings.HasPrefix(name, prefix)
	})
}

func labelled(has map[string]string, labels []string) bool {
	return !slices.ContainsFunc(labels, func(l string) bool {
		key, value, _ := strings.Cut(l, "=")
		v, ok := has[key]
		return !ok || v != value
	})
}
