package controller

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

// reload reads the configuration again. If it cannot be read, nothing changes. A broken source
// keeps its last good definition.
func (k *controller) reload(ctx context.Context) (out api.Reloaded, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReloading)
	defer func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }()
	if _, err := k.syncApplied(ctx); err != nil {
		return out, err
	}
	b := k.Host.Afresh()
	cfg, err := b.Configuration()
	if err != nil {
		return out, err
	}
	// things applied after this have another mark, so the next check sees them
	mark, faults := b.Mark(), faultsOf(cfg)
	keepGood(k.now.Load().cfg, cfg, faults)
	engine, err := b.Engine(ctx)
	if err != nil {
		return out, err
	}
	next, err := newServed(ctx, engine, cfg, true, b.Guard())
	if err != nil {
		return out, err
	}
	next.mark = mark
	if err := host.SameStore(k.now.Load().cfg, cfg); err != nil {
		return out, err
	}
	if err := k.reloadCertificates(next); err != nil {
		return out, err
	}
	old := k.now.Swap(next)
	close(old.over)
	old.engine.HandOver(engine)
	k.Log.Info("the configuration was read anew", "broken", len(faults))
	k.tellFaults(faults)
	k.bell.ring()
	k.ring()
	_, out.Several = k.Host.Store().(host.SharedStore)
	out.Broken, out.Warnings = []api.Broken{}, []string{}
	for _, f := range faults {
		out.Broken = append(out.Broken, api.NewBroken(f.source, f.err()))
	}
	for _, w := range cfg.Warnings {
		out.Warnings = append(out.Warnings, w.Error())
	}
	for _, s := range cfg.Sources {
		out.Warnings = append(out.Warnings, check.Oddities(s)...)
	}
	return out, nil
}

// brokenSource is a source whose configuration is wrong.
type brokenSource struct {
	source string
	cause  error
	kept   bool // its last good definition stays in use
}

// faultsOf returns the broken sources of a configuration, by name.
func faultsOf(cfg *config.Config) (out []*brokenSource) {
	for _, s := range cfg.Sources {
		if err := check.FaultOf(s); err != nil {
			out = append(out, &brokenSource{source: s.Name, cause: err})
		}
	}
	return out
}

// err returns the error for users, with a hint of what is in force.
func (f *brokenSource) err() error {
	all := api.Apart(host.ConfigError(f.cause))
	e, ok := all[len(all)-1].(*compute.Error)
	if !ok || e.Hint != "" {
		return host.ConfigError(f.cause)
	}
	told := *e
	if told.Hint = "the source " + f.source + " cannot be used until that is mended; all else was read"; f.kept {
		told.Hint = "the source " + f.source + " goes on as it was until that is mended; all else was read"
	}
	if all[len(all)-1] = &told; len(all) == 1 {
		return &told
	}
	return errors.Join(all...)
}

// tellFaults logs broken sources.
func (k *controller) tellFaults(faults []*brokenSource) {
	for _, f := range faults {
		k.Log.Error("a source is broken", "source", f.source, "err", f.cause, "goes_on", f.kept)
	}
}

// keepGood replaces broken sources with their last good definition. It does not if the user must
// approve the new one, or if a source that the old pool took from may be gone.
func keepGood(was, now *config.Config, faults []*brokenSource) {
	for _, f := range faults {
		old, err := was.Source(f.source)
		at := slices.IndexFunc(now.Sources, func(s *config.Source) bool { return s.Name == f.source })
		if err != nil || check.FaultOf(old) != nil || old.File != now.Sources[at].File || errors.Is(f.cause, config.ErrUntrusted) {
			continue
		}
		gone := slices.ContainsFunc(old.Sources, func(child string) bool {
			s, err := now.Source(child)
			return err != nil || s.Type == "pool"
		})
		if !gone {
			now.Sources[at], f.kept = old, true
		}
	}
}

// reloadOnHangup reloads at SIGHUP.
func (k *controller) reloadOnHangup(ctx context.Context) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGHUP)
	defer signal.Stop(got)
	for {
		select {
		case <-ctx.Done():
			return
		case <-got:
			if _, err := k.reload(ctx); err != nil {
				k.Log.Error("the configuration cannot be read anew, so the old one stays", "err", err)
			}
		}
	}
}
