package deploycmd

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
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
