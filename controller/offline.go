package controller

import (
	"context"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/webhook"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/version"
)

// The functions below answer for a controller where none runs, by a host whose engine is open.

// OfflineApplied returns what applies things.
func OfflineApplied(h *host.Host) *applied.Store {
	return newBook(h, h.Opened().Leases, func(ctx context.Context) error {
		m, err := host.AppliedMirror(h.Config())
		if err == nil {
			err = m.Sync(ctx, h.Store())
		}
		return err
	})
}

// OfflineWebhooks returns the webhooks of the configuration.
func OfflineWebhooks(ctx context.Context, h *host.Host) (server.Webhooks, error) {
	hooks, err := readHooks(ctx, h.Config())
	if err != nil {
		return nil, err
	}
	j := newHookJournal(h.Opened(), h.Store())
	return newHooked(
		hooks, j,
		webhook.New(webhook.Options{
			Hooks: hooks, Journal: j, Installation: h.Store().Installation(), Version: version.Read().Version, Log: h.Log,
		}),
	), nil
}

// OfflinePlans returns what a director would do now.
func OfflinePlans(ctx context.Context, h *host.Host) ([]api.Plan, error) {
	opt, err := directorOptions(h.Config())
	if err != nil {
		return nil, err
	}
	opt.Pool = h.Opened()
	d, err := director.New(opt)
	if err != nil {
		return nil, err
	}
	plans, err := d.Plan(ctx)
	views := make([]api.Plan, len(plans))
	for n, p := range plans {
		p.DryRun = p.DryRun || opt.DryRun
		views[n] = viewPlan(p)
	}
	return views, err
}
