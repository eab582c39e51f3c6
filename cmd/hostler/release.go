package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
)

func newRelease(a *app) *cobra.Command {
	var all, force, wait, anyones bool
	cmd := &cobra.Command{
		Use:   "release [INSTANCE | LEASE]...",
		Short: "Give instances back: kept as far as the source wants them, else discarded",
		Long: `Give instances back. Of the names given, as many as the source wants are cleaned and kept, the first ones first; the others are discarded.
Either all names are good or nothing is changed. What takes long goes on in the background, unless --wait is given.`,
		Example: "  hostler release web-3\n  hostler release --all --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			a.now = wait
			return a.release(cmd.Context(), args, all, anyones, compute.ReleaseOptions{Force: force})
		},
		ValidArgsFunction: a.completeLeased,
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "everything that is yours")
	f.BoolVarP(&force, "force", "f", false, "discard them, whatever the source wants to keep")
	f.BoolVar(&wait, "wait", false, "come back when they are clean or gone")
	f.BoolVar(&anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

func newDiscard(a *app) *cobra.Command {
	var force, anyones bool
	cmd := &cobra.Command{
		Use:   "discard INSTANCE...",
		Short: "Unmake instances: leased by you, cached, failed, held, or of a source that is gone",
		Long: `Unmake instances and come back when they are gone. Instances under a lease of yours are given back first; those that nobody has (cached, failed, held,
orphaned) may be discarded too.`,
		Example: "  hostler discard web-3\n  hostler discard $(hostler status --json | jq -r '.instances[] | select(.state == \"held\").name')",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.now = true
			return a.release(cmd.Context(), args, false, anyones, compute.ReleaseOptions{Force: force, Discard: true})
		},
		ValidArgsFunction: a.completeInstances,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "as release -f; discard does so in any case")
	_ = cmd.Flags().MarkHidden("force")
	cmd.Flags().BoolVar(&anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

// release gives the named instances back, or all of the caller's.
func (a *app) release(ctx context.Context, names []string, all, anyones bool, opt compute.ReleaseOptions) error {
	if all == (len(names) > 0) {
		return invalid("hostler status -v lists them", "name the instances to give back, or say --all")
	}
	engine, err := a.engine(ctx)
	if err != nil {
		return err
	}
	who := a.who(ctx, engine, names...)
	who.Admin = anyones
	ids := asIDs(names)
	if all {
		leases, err := engine.Leases(ctx, compute.LeaseQuery{Owner: who.Owner})
		if err != nil {
			return err
		}
		for _, l := range leases {
			ids = append(ids, l.Instance)
		}
		if len(ids) == 0 {
			return nil
		}
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	err = engine.Release(ctx, who, opt, ids...)
	a.ring(ctx)
	return err
}

func asIDs(names []string) []compute.ID {
	ids := make([]compute.ID, len(names))
	for i, n := range names {
		ids[i] = compute.ID(n)
	}
	return ids
}
