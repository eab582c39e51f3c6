package runcmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
	"github.com/hostler-project/hostler/run/worktree"
)

// planTree shows what would be sent, and to which instance.
func planTree(a *cli.App, ctx context.Context, o *runOptions, name string) error {
	along, err := newTree(a, &o.sync)
	if err != nil {
		return err
	}
	along.Options.Scan.Unread = true
	defer along.Close()
	found, err := along.Await(ctx, nil)
	if err != nil {
		return err
	}
	tree := found.Tree
	p := worktree.NewPlan(tree)
	lease, err := planTarget(a, ctx, p, cmp.Or(name, o.acquire.Name), name)
	if err != nil {
		return err
	}
	var last []scan.Entry
	if p.Instance != "" && !o.sync.Fresh {
		last, _ = send.Last(worktree.State(along.Cache, compute.ID(p.Instance), lease, worktree.Key(tree.Root, o.user)))
	}
	p.Compare(tree, last, o.sync.large, o.sync.Delete)
	if a.JSON {
		return a.PrintJSON(p)
	}
	return printPlan(a, p)
}

// planTarget finds the instance that would be used, and acquires nothing.
func planTarget(a *cli.App, ctx context.Context, p *worktree.Plan, name, named string) (lease string, err error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return "", err
	}
	if name != "" {
		i, l, err := engine.Resolve(ctx, name)
		if err == nil {
			p.Instance, p.Source = string(i.ID), i.Source
			if l != nil {
				p.Lease, lease = cmp.Or(l.Name, l.ID), l.ID
			}
			return lease, nil
		}
		if !errors.Is(err, compute.ErrNotFound) {
			return "", err
		}
	}
	if p.Source = named; named == "" {
		p.Source, err = a.SourceName()
		return "", err
	}
	if !a.IsSource(named) {
		return "", a.UnknownName(ctx, named)
	}
	return "", nil
}
