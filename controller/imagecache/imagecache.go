// Package imagecache keeps images cached on bare-metal nodes, as the sections [director.metal] of
// hostler.conf say: a scout lists the nodes, a strategy decides, a commander changes them.
package imagecache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/ironic"
)

// errNoMetal is the error when no images are to be cached.
var errNoMetal = &compute.Error{Kind: compute.ErrInvalid,
	Err:  errors.New("no scout is configured: nobody says which bare-metal nodes there are"),
	Hint: "write scout = ironic, or the NAME of an executable hostler-scout-NAME, into a section [director.metal] of hostler.conf; see docs/director-metal.md"}

// Setup reads the configuration of the loop that caches images on bare metal.
type Setup struct {
	log  *slog.Logger
	host *host.Host
}

// NewSetup returns the setup for a host; it logs to log.
func NewSetup(log *slog.Logger, h *host.Host) *Setup { return &Setup{log, h} }

// Options returns the options of the loop that caches images on bare metal. The caller adds Leads
// and Told, and calls closer at the end.
func (m *Setup) Options(
	ctx context.Context, cfg *config.Config, store imagecache.Store,
) (opt imagecache.Options, d imageCacheSection, closer func(), err error) {
	closer = func() {}
	if d, err = readSection(cfg); err != nil {
		return opt, d, closer, err
	}
	if d.Scout == "" {
		return opt, d, closer, errNoMetal
	}
	if err := d.check(); err != nil {
		return opt, d, closer, err
	}
	opt = imagecache.Options{Store: store, Log: m.log, PollSpacing: d.PollSpacing, DirectiveSpacing: d.DirectiveSpacing,
		CacheRate:        loop.Rate{N: d.CacheLimit, Period: d.CachePeriod},
		EjectRate:        loop.Rate{N: d.EjectLimit, Period: d.EjectPeriod},
		RebalanceRate:    loop.Rate{N: d.Rebalances, Period: time.Hour},
		Together:         imagecache.Together{BMC: d.PerBMC, Rack: d.PerRack, Conductor: d.PerConductor},
		MaxEjectFraction: d.MaxEjectFraction, Deadline: d.Deadline, Pause: d.Pause, Quarantine: d.Quarantine, DryRun: d.DryRun}
	var how strategySection
	if opt.Strategy, how, err = m.strategy(cfg, d.Strategy); err != nil {
		return opt, d, closer, err
	}
	opt.Demand, opt.Lead = how.asks, how.Lead
	opt.Scout, opt.Commander, closer, err = m.service(ctx, cfg, d)
	return opt, d, closer, err
}

// service returns the scout, which lists nodes, and the commander, which changes them.
func (m *Setup) service(
	ctx context.Context, cfg *config.Config, d imageCacheSection,
) (scout metal.Scout, commander metal.Commander, closer func(), err error) {
	closer = func() {}
	if d.Scout == ironic.Kind.Name || d.Commander == ironic.Kind.Name {
		var s metal.Scout
		if s, commander, closer, err = m.ironic(ctx, cfg); err != nil {
			return nil, nil, closer, err
		}
		if d.Scout == ironic.Kind.Name {
			scout = s
		}
		if d.Commander != ironic.Kind.Name {
			commander = nil
		}
	}
	outside := func(name string) (*imagecache.ExternalScout, error) {
		path, err := imagecache.FindScout(name)
		if err != nil {
			return nil, err
		}
		settings, _ := host.SectionOf(cfg.Sections["director.metal.scout"])
		return &imagecache.ExternalScout{Path: path, Settings: settings}, nil
	}
	if scout == nil {
		if scout, err = outside(d.Scout); err != nil {
			return nil, nil, closer, err
		}
	}
	if commander == nil {
		commander, err = outside(d.Commander)
	}
	return scout, commander, closer, err
}

// check returns which number is out of bounds.
func (d *imageCacheSection) check() error {
	for _, n := range []struct {
		key string
		bad bool
		v   any
	}{{"poll-spacing", d.PollSpacing < 0, d.PollSpacing},
		{"directive-spacing", d.DirectiveSpacing < 0, d.DirectiveSpacing},
		{"cache-directive-rate-limit", d.CacheLimit < 0, d.CacheLimit},
		{"cache-directive-limiting-period", d.CachePeriod < 0, d.CachePeriod},
		{"eject-directive-rate-limit", d.EjectLimit < 0, d.EjectLimit},
		{"eject-directive-limiting-period", d.EjectPeriod < 0, d.EjectPeriod},
		{"rebalance-max-per-hour", d.Rebalances < 0, d.Rebalances}, {"per-bmc", d.PerBMC < 0, d.PerBMC},
		{"per-rack", d.PerRack < 0, d.PerRack}, {"per-conductor", d.PerConductor < 0, d.PerConductor},
		{"deadline", d.Deadline < 0, d.Deadline}, {"failure-pause", d.Pause < 0, d.Pause},
		{"max-eject-fraction", !(d.MaxEjectFraction > 0 && d.MaxEjectFraction <= 1), d.MaxEjectFraction}} {
		if n.bad {
			return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("[director.metal] %s %v: out of its bounds", n.key, n.v)}
		}
	}
	return nil
}
