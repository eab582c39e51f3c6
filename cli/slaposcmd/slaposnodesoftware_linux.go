package slaposcmd

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/proto"
)

// Releases builds what the master wants.
func (n *NodeCommand) Releases() (*software.Builder, error) {
	cache, err := n.networkCache()
	if err != nil {
		return nil, err
	}
	where, err := n.fetching()
	if err != nil {
		return nil, err
	}
	guard, err := where.guard(func(line string) { n.Warn("%s", line) })
	if err != nil {
		return nil, err
	}
	b := &software.Builder{
		Root: n.Node.SoftwareRoot, SharedParts: n.Node.SharedParts, BuildTimeParts: n.Node.BuildTimeParts,
		Buildout: n.Node.Buildout, NetworkCache: cache, Free: n.Node.SoftwareFree,
		Log: func(line string) { n.Say("%s", line) }, Warn: func(line string) { n.Warn("%s", line) },
		Bundles: n.A.Host.Bundles, Guard: guard,
		Puller: append([]string{"/proc/self/exe", "slapos", "node", "lay-image"}, where.words()...),
	}
	n.useCache(b)
	return b, nil
}

// softwarePass brings the releases of this computer to what the master wants.
func (n *NodeCommand) softwarePass(ctx context.Context, o softwarePass) error {
	b, err := n.Releases()
	if err != nil {
		return err
	}
	b.Debug, b.Force = o.debug, o.force || o.all || n.Node.Develop
	c, err := n.client.Computer(ctx, n.Node.Computer)
	if err != nil {
		return err
	}
	failed, err := b.Pass(ctx, n.client, c, software.PassOptions{Only: o.only, Collect: o.collect})
	if n.A.JSON {
		views := make([]slaposReleaseView, 0, len(c.Releases))
		for _, r := range c.Releases {
			v := slaposReleaseView{Release: r.URL, State: r.State, Directory: b.Dir(r.URL), Completed: b.Done(r.URL)}
			if v.State == "" {
				v.State = proto.Available
			}
			if i := slices.IndexFunc(failed, func(f software.Failed) bool { return f.URL == r.URL }); i >= 0 {
				v.Error = software.Brief(failed[i].Err)
			}
			views = append(views, v)
		}
		if err := n.A.PrintJSON(views); err != nil {
			return err
		}
	}
	if err != nil || len(failed) == 0 {
		return err
	}
	n.Warn("Error while processing the following software releases:")
	for _, f := range failed {
		n.Warn("  %s: %s", f.URL, software.Brief(f.Err))
		if e, ok := errors.AsType[*compute.Error](n.hinted(f.Err)); ok && e.Hint != "" {
			n.Warn("    %s", cli.AsCalled(n.A.Program, e.Hint))
		}
	}
	return term.Exit(1)
}

// prune takes shared parts away that no release uses.
func (n *NodeCommand) prune(ctx context.Context, o pruning) error {
	roots := []string{n.Node.SoftwareRoot}
	for _, dir := range o.more {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		roots = append(roots, dir)
	}
	p := &software.Pruner{
		Software: roots, Shared: n.Node.SharedParts, Instance: n.Node.InstanceRoot, DryRun: o.dry,
		Log: func(line string) { n.Say("%s", line) },
	}
	parts, err := p.Prune(ctx)
	if err == nil && n.A.JSON {
		return n.A.PrintJSON(slaposPrunedView{append([]string{}, parts...), !o.dry})
	}
	return err
}

func layImage(ctx context.Context, name, dir string, guard *fetch.Guard) error {
	return software.LayImage(ctx, name, dir, guard)
}
