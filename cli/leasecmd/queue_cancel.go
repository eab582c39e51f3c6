package leasecmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// cancelRequests takes requests out of the queue, by their numbers.
func cancelRequests(a *cli.App, ctx context.Context, args []string) error {
	ids := make([]int64, len(args))
	for i, arg := range args {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return fault.Invalid("`hostler queue` lists them", "%s: not the number of a request", arg)
		}
		ids[i] = n
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		// a controller knows itself who may do so
		if err := engine.Cancel(ctx, compute.Who{Owner: a.Owner(), Admin: true}, id); err != nil {
			return err
		}
	}
	return nil
}

// completeRequests offers the numbers of the requests that wait.
func completeRequests(a *cli.App, cmd *cobra.Command, _ []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
	if a.Begin(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	engine, err := a.Engine(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := engine.Queue(cmd.Context())
	for _, q := range all {
		out = append(out, fmt.Sprintf("%d\t%s of %s", q.ID, q.Source, q.Owner))
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}
