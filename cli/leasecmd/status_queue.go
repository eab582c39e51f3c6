package leasecmd

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/inventory"
)

// statusQueue lists the requests in the queues of sources, if there are any.
func statusQueue(a *cli.App, ctx context.Context, engine cli.Engine, sources []inventory.SourceStatus) error {
	if !slices.ContainsFunc(sources, func(s inventory.SourceStatus) bool { return s.Waiting > 0 }) {
		return nil
	}
	all, err := engine.Queue(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(q inventory.Queued) bool {
		return !slices.ContainsFunc(sources, func(s inventory.SourceStatus) bool { return s.Name == q.Source })
	})
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	return a.Table(queueHeads, queueRows(all, time.Now()))
}
