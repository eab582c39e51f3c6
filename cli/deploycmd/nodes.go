package deploycmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/deploy"
)

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
		found, _ := deploy.List(cmd.Context(), engine, a.Owner())
		for _, n := range found {
			if n.Made() {
				out = append(out, cobra.CompletionWithDesc(n.Name(), string(n.Lease.Instance)))
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
