package cloudcmd

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// flavorOfHead returns the flavor of exactly this name. Otherwise it returns the cheapest one that
// is large enough and matches the regular expression. "" is the source's flavor.
func (w *cloudWork) flavorOfHead(ctx context.Context, s *cloudSource, want string) (string, error) {
	if want == "" {
		return "", nil
	}
	table, err := w.cloud.Flavors(ctx, false)
	if err != nil {
		return "", err
	}
	if f, err := table.Get(want); err == nil {
		return f.Name, nil
	}
	f, err := table.Cheapest(s.need(want))
	if err != nil {
		return "", fmt.Errorf("--manager-flavor %s: %w", want, err)
	}
	return f.Name, nil
}

// takeHead acquires one server of the deployment's source under a name.
func takeHead(a *cli.App, ctx context.Context, name, flavor string) (string, error) {
	b := cli.NewApp(a.In, a.Out, a.Err) // for the configuration with the new source
	b.Flags, b.Terminal, b.Host.ConfigDir, b.Host.Log = a.Flags, a.Terminal, a.Host.ConfigDir, a.Log
	b.Host.Kinds, b.Host.Registry, b.Host.GoTemplate = a.Host.Kinds, a.Host.Registry, a.Host.GoTemplate
	b.Host.Database, b.Host.Migrate = a.Host.Database, a.Host.Migrate
	defer b.Host.Close()
	engine, err := b.Engine(ctx)
	if err != nil {
		return "", err
	}
	head := name + "-head"
	if i, l, err := engine.Resolve(ctx, head); err == nil && l != nil && l.Name == head {
		return string(i.ID), nil
	}
	leases, err := engine.Acquire(
		ctx,
		compute.Request{
			Source: name, Count: 1, Owner: b.Owner(), Own: true, Name: head, TTL: -1, Idle: -1, Flavor: flavor,
			Purpose: "head of " + name,
		},
	)
	if err != nil {
		return "", err
	}
	if len(leases) != 1 {
		return "", fmt.Errorf("%s: %d leases for one head", name, len(leases))
	}
	return string(leases[0].Instance), nil
}

// need returns what a flavor of the source must have, beside a matching name.
func (s *cloudSource) need(regex string) flavor.Need {
	const mib = 1 << 20
	return flavor.Need{Cores: 1, RAM: int((s.ram.Bytes + mib - 1) / mib), Regex: regex}
}
