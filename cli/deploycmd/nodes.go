package deploycmd

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// node is a lease that can be called a node, and the instance under it.
type node struct {
	lease    compute.Lease
	instance compute.Instance
}

// isNode reports whether deploy made it.
func (n node) isNode() bool { return n.lease.Labels[deploy.Label] != "" }

// name returns the name to show.
func (n node) name() string { return cmp.Or(n.lease.Name, string(n.lease.Instance)) }

// addresses are what is known of where it is.
func (n node) addresses() (public, private []string) {
	return deploy.Addresses(n.instance.Address)
}

// nodes returns the leases of the owner, or of all users for "", sorted by name. Instances behind
// those of pools are left out.
func nodes(a *cli.App, ctx context.Context, engine cli.Engine, owner string) ([]node, error) {
	leases, err := engine.Leases(ctx, compute.LeaseQuery{Owner: owner})
	if err != nil {
		return nil, err
	}
	instances, err := engine.Instances(ctx, compute.InstanceQuery{})
	if err != nil {
		return nil, err
	}
	by := map[compute.ID]compute.Instance{}
	for _, i := range instances {
		by[i.ID] = i
	}
	var out []node
	for _, l := range leases {
		if l.Pool != "" {
			continue
		}
		n := node{l, by[l.Instance]}
		for i := n.instance; i.Child != ""; { // the facts of the real instance
			i = by[i.Child]
			n.instance.Address, n.instance.ProviderID = cmp.Or(n.instance.Address, i.Address), cmp.Or(n.instance.ProviderID, i.ProviderID)
			if n.instance.Facts == nil {
				n.instance.Facts = i.Facts
			}
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.name(), b.name()), cmp.Compare(a.lease.ID, b.lease.ID))
	})
	return out, nil
}

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
	found, err := nodes(a, ctx, engine, owner)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(n node) bool {
		return !n.isNode() || a.Flags.Source != "" && n.lease.Source != a.Flags.Source ||
			!matches(n.name(), patterns) || !labelled(n.lease.Labels, labels)
	})
	if a.JSON {
		views := []NodeView{}
		for _, n := range found {
			n.instance = sshFacts(a, ctx, n.instance)
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
			n.name(), string(n.lease.Instance), n.lease.Source, string(n.instance.State), term.Line(n.instance.Address),
			term.ShortDuration(time.Since(n.lease.Given)), "",
		}
		if end := n.lease.Deadline(); !end.IsZero() {
			row[6] = "in " + term.ShortDuration(time.Until(end))
		}
		if all {
			row = append(row, term.Line(n.lease.Owner))
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

// noSource is the error for a source that is not there.
func noSource(a *cli.App, ctx context.Context, name string) error {
	var known []string
	for _, s := range a.Sources(ctx) {
		known = append(known, s.Name)
	}
	return cli.UnknownSource(name, known)
}

// completeNodes offers the caller's nodes.
func completeNodes(a *cli.App, cmd *cobra.Command, _ []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	if engine, err := a.Engine(cmd.Context()); err == nil {
		found, _ := nodes(a, cmd.Context(), engine, a.Owner())
		for _, n := range found {
			if n.isNode() {
				out = append(out, cobra.CompletionWithDesc(n.name(), string(n.lease.Instance)))
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
