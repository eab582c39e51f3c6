package deploycmd

import (
	"cmp"
	"context"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// listNodes prints a line for each node: its name and its first public address.
func listNodes(a *cli.App, ctx context.Context, _ *oldNodeOptions, words []string) error {
	if len(words) > 0 {
		return fault.Invalid("", "list-nodes takes no words beside options: %q", words)
	}
	settings, err := deploySettings(a)
	if err != nil {
		return err
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	source := cmp.Or(a.Flags.Source, settings.Source)
	if source != "" && !a.IsSource(source) {
		return noSource(a, ctx, source)
	}
	a.Due(ctx)
	all, err := deploy.List(ctx, engine, a.Owner())
	if err != nil {
		return err
	}
	for _, n := range all {
		if source != "" && n.Lease.Source != source || n.Lease.Name == "" {
			continue
		}
		public, private := n.Addresses()
		if err := term.Printf(a.Out, "%s %s\n", n.Name(), cli.First(append(public, private...))); err != nil {
			return err
		}
	}
	return nil
}
