package leasecmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
)

func NewEvents(a *cli.App) *cobra.Command {
	var follow bool
	newest, audit := 0, false
	cmd := &cobra.Command{
		Use:     "events [INSTANCE | SOURCE]",
		Short:   "Show what happened, and on what each hand-out rests",
		Long:    "Show what happened, the oldest first, and on what each hand-out rests. With --json it is one document a line.",
		Example: "  hostler events web-3\n  hostler events --follow --json\n  hostler events --audit -n 20",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if newest < 0 {
				return fault.Invalid("", "--newest %d: less than none", newest)
			}
			if audit {
				return showAudit(a, cmd.Context(), newest, follow, args)
			}
			engine, err := a.Engine(cmd.Context())
			if err != nil {
				return err
			}
			q := inventory.EventQuery{Newest: newest}
			if !cmd.Flags().Changed("newest") && len(args) == 0 {
				q.Newest = 100
			}
			if len(args) == 1 {
				if err := about(a, cmd.Context(), engine, args[0], &q); err != nil {
					return err
				}
			}
			if newest == 0 && cmd.Flags().Changed("newest") { // no earlier events
				last, err := engine.Events(cmd.Context(), inventory.EventQuery{Newest: 1})
				if err != nil || !follow {
					return err
				}
				if q.Newest = 0; len(last) > 0 {
					q.After = last[0].ID
				}
			}
			return events(a, cmd.Context(), engine, q, follow)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	cmd.Flags().BoolVar(
		&audit, "audit", false,
		"show who did what through the controller, and what was refused to whom: for operators that of their projects",
	)
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with what happens, until interrupted")
	cmd.Flags().IntVarP(&newest, "newest", "n", 0, "only the newest `N` (default: 100 of all, every one of an instance's or a source's)")
	return cmd
}

// about limits a query to what a name means: an instance, even one that is gone, a lease or a
// source.
func about(a *cli.App, ctx context.Context, engine cli.Engine, name string, q *inventory.EventQuery) error {
	i, _, err := engine.Resolve(ctx, name)
	switch {
	case err == nil:
		q.Instance = i.ID
		return nil
	case !errors.Is(err, compute.ErrNotFound):
		return err
	case a.IsSource(name):
		q.Source = name
		return nil
	}
	past := inventory.EventQuery{Instance: compute.ID(name), Newest: 1}
	if found, err := engine.Events(ctx, past); err != nil || len(found) > 0 {
		q.Instance = compute.ID(name)
		return err
	}
	past = inventory.EventQuery{Source: name, Newest: 1}
	if found, err := engine.Events(ctx, past); err != nil || len(found) > 0 {
		q.Source = name
		return err
	}
	return a.UnknownName(ctx, name)
}

// events prints the events that were, and with follow those that come.
func events(a *cli.App, ctx context.Context, engine cli.Engine, q inventory.EventQuery, follow bool) error {
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	found, err := engine.Events(ctx, q)
	for _, e := range found {
		if err := printEvent(a, e); err != nil {
			return err
		}
		q.After = max(q.After, e.ID)
	}
	if err == nil && follow {
		q.Newest = 0
		err = cli.Watch(a, ctx, engine, q, func(e compute.Event) error { return printEvent(a, e) })
	}
	if follow && ctx.Err() != nil {
		return nil
	}
	return err
}
