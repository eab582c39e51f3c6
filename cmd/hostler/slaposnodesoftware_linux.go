package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/slap"
)

// releases builds what the master wants.
func (n *nodeCommand) releases() (*software.Builder, error) {
	cache, err := n.networkCache()
	if err != nil {
		return nil, err
	}
	where, err := n.fetching()
	if err != nil {
		return nil, err
	}
	guard, err := where.guard(func(line string) { n.warn("%s", line) })
	if err != nil {
		return nil, err
	}
	b := &software.Builder{
		Root: n.node.SoftwareRoot, SharedParts: n.node.SharedParts, BuildTimeParts: n.node.BuildTimeParts,
		Buildout: n.node.Buildout, NetworkCache: cache, Free: n.node.SoftwareFree,
		Log: func(line string) { n.say("%s", line) }, Warn: func(line string) { n.warn("%s", line) },
		Bundles: n.a.Host.Bundles, Guard: guard,
		Puller: append([]string{"/proc/self/exe", "slapos", "node", "lay-image"}, where.words()...),
	}
	n.useCache(b)
	return b, nil
}

// softwarePass brings the releases of this computer to what the master wants.
func (n *nodeCommand) softwarePass(ctx context.Context, o softwarePass) error {
	b, err := n.releases()
	if err != nil {
		return err
	}
	b.Debug, b.Force = o.debug, o.force || o.all || n.node.Develop
	c, err := n.client.Computer(ctx, n.node.Computer)
	if err != nil {
		return err
	}
	failed, err := b.Pass(ctx, n.client, c, software.PassOptions{Only: o.only, Collect: o.collect})
	if n.a.JSON {
		views := make([]slaposReleaseView, 0, len(c.Releases))
		for _, r := range c.Releases {
			v := slaposReleaseView{Release: r.URL, State: r.State, Directory: b.Dir(r.URL), Completed: b.Done(r.URL)}
			if v.State == "" {
				v.State = slap.Available
			}
			if i := slices.IndexFunc(failed, func(f software.Failed) bool { return f.URL == r.URL }); i >= 0 {
				v.Error = software.Brief(failed[i].Err)
			}
			views = append(views, v)
		}
		if err := n.a.PrintJSON(views); err != nil {
			return err
		}
	}
	if err != nil || len(failed) == 0 {
		return err
	}
	n.warn("Error while processing the following software releases:")
	for _, f := range failed {
		n.warn("  %s: %s", f.URL, software.Brief(f.Err))
		if e, ok := errors.AsType[*compute.Error](n.hinted(f.Err)); ok && e.Hint != "" {
			n.warn("    %s", asCalled(n.a.Program, e.Hint))
		}
	}
	return term.Exit(1)
}

// prune takes shared parts away that no release uses.
func (n *nodeCommand) prune(ctx context.Context, o pruning) error {
	roots := []string{n.node.SoftwareRoot}
	for _, dir := range o.more {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		roots = append(roots, dir)
	}
	p := &software.Pruner{
		Software: roots, Shared: n.node.SharedParts, Instance: n.node.InstanceRoot, DryRun: o.dry,
		Log: func(line string) { n.say("%s", line) },
	}
	parts, err := p.Prune(ctx)
	if err == nil && n.a.JSON {
		return n.a.PrintJSON(slaposPrunedView{append([]string{}, parts...), !o.dry})
	}
	return err
}

func layImage(ctx context.Context, name, dir string, guard *fetch.Guard) error {
	return software.LayImage(ctx, name, dir, guard)
}
