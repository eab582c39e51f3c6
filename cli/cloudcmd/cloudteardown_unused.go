package cloudcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// unused is an error while instances of a deployment's sources are leased.
func (w *cloudWork) unused(ctx context.Context, name string, sources []string, force bool) error {
	if force || len(sources) == 0 {
		return nil
	}
	engine, err := w.app.Engine(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, source := range sources {
		leases, err := engine.Leases(ctx, inventory.LeaseQuery{Source: source})
		if err != nil {
			return err
		}
		for _, l := range leases {
			names = append(names, fmt.Sprintf("%s by %s", l.Instance, l.Owner))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.Conflict("have them released, or use --force", "%s: in use: %s", name, strings.Join(names, ", "))
}

// giveUp makes the engine discard the instances of a deployment's sources with their hooks, except
// this server. It does so only if a teardown is allowed, and for some minutes at most. The teardown
// deletes the rest, and the engine notices later.
func (w *cloudWork) giveUp(ctx context.Context, opt deployment.Options, sources []string) error {
	tell := opt.Tell
	stay := map[string]bool{}
	opt.DryRun, opt.Tell = true, func(s deployment.Step) {
		if s.Did == deployment.Left && s.Kind == deployment.Server {
			stay[s.Name], stay[s.ID] = true, true
		}
	}
	if err := w.cloud.Teardown(ctx, opt); err != nil || len(sources) == 0 {
		return err
	}
	engine, err := w.app.Engine(ctx)
	if err != nil {
		return err
	}
	var ids []compute.ID
	var steps []deployment.Step
	for _, source := range sources {
		all, err := engine.Instances(ctx, inventory.InstanceQuery{Source: source})
		if err != nil {
			return err
		}
		for _, i := range all {
			if !stay[string(i.ID)] && !stay[i.ProviderID] {
				ids = append(ids, i.ID)
				steps = append(
					steps,
					deployment.Step{Did: deployment.Deleted, Kind: deployment.Server, Name: string(i.ID), ID: i.ProviderID},
				)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	const most = 5 * time.Minute
	until, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	who := w.app.Who(ctx, engine)
	who.Admin = true
	err = engine.Release(until, who, compute.ReleaseOptions{Force: true, Discard: true}, ids...)
	if err == nil {
		err = leasecmd.AtRest(w.app, until, engine, ids)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.app.Log.Warn(
			"instances of the deployment are not discarded: their servers are deleted all the same", "deployment",
			opt.Name, "err", err,
		)
		return nil
	}
	for _, s := range steps {
		tell(s)
	}
	return nil
}
