package leasecmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

func NewRelease(a *cli.App) *cobra.Command {
	var force, wait, anyones bool
	var every Scope
	cmd := &cobra.Command{
		Use:   "release [INSTANCE | LEASE]...",
		Short: "Give instances back: kept as far as the source wants them, else discarded",
		Long: `Give instances back. Of the names given, as many as the source wants are cleaned and kept, the first ones first; the others are discarded.
Either all names are good or nothing is changed. What takes long goes on in the background, unless --wait is given.

With --all nodes stay: the computers that deploy made are there until somebody names them, here or to destroy, or says --deployed.`,
		Example: "  hostler release web-3\n  hostler release --all --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Host.Now = wait
			return Release(a, cmd.Context(), args, every, anyones, compute.ReleaseOptions{Force: force})
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	f := cmd.Flags()
	f.BoolVar(&every.all, "all", false, "everything that is yours, but nodes")
	f.BoolVar(&every.nodes, "deployed", false, "with --all: nodes too")
	f.BoolVarP(&force, "force", "f", false, "discard them, whatever the source wants to keep")
	f.BoolVar(&wait, "wait", false, "come back when they are clean or gone")
	f.BoolVar(&anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

// Scope says what to release if no instance is named.
type Scope struct {
	all   bool // the caller's leases
	nodes bool // deploy's nodes too
}

// Release releases the named instances, or those of the scope.
func Release(a *cli.App, ctx context.Context, names []string, every Scope, anyones bool, opt compute.ReleaseOptions) error {
	switch {
	case every.nodes && !every.all:
		return fault.Invalid("hostler release --all --deployed", "--deployed goes with --all")
	case every.all == (len(names) > 0):
		return fault.Invalid("hostler status -v lists them", "name the instances to give back, or say --all")
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	who := a.Who(ctx, engine, names...)
	who.Admin = anyones
	ids := asIDs(names)
	if every.all {
		var stay []string
		leases, err := engine.Leases(ctx, inventory.LeaseQuery{Owner: who.Owner})
		if err != nil {
			return err
		}
		for _, l := range leases {
			if l.Labels[deploy.Label] != "" && !every.nodes {
				stay = append(stay, cmp.Or(l.Name, string(l.Instance)))
				continue
			}
			ids = append(ids, compute.ID(l.Handle()))
		}
		sayStay(a, stay)
		if len(ids) == 0 && !a.JSON {
			return nil
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	done := make([]ReleasedView, len(ids))
	for i, id := range ids {
		if done[i], err = before(a, ctx, engine, id, opt); err != nil {
			return err
		}
	}
	var all []compute.ID
	if a.Host.Now {
		all = inventory.Behind(ctx, engine, ids)
	}
	err = engine.Release(ctx, who, opt, ids...)
	released := err == nil
	if released {
		err = AtRest(a, ctx, engine, all)
	}
	a.Ring(ctx)
	if released {
		err = errors.Join(err, SayReleased(a, ctx, engine, done, opt))
	}
	return a.Interrupted(err, "what was given back stays so; what is not clean or gone yet goes on later")
}

func asIDs(names []string) []compute.ID {
	ids := make([]compute.ID, len(names))
	for i, n := range names {
		ids[i] = compute.ID(n)
	}
	return ids
}
