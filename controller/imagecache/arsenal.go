package imagecache

import (
	"fmt"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/arsenal"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// ArsenalOptions returns the loop's options by an arsenal.conf.
func ArsenalOptions(log *slog.Logger, c *arsenal.Conf, installation string) (opt imagecache.Options, closer func(), err error) {
	refuse := func(hint, text string, args ...any) (imagecache.Options, func(), error) {
		return opt, nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", c.File, fmt.Errorf(text, args...)), Hint: hint}
	}
	preset := c.Preset()
	if preset == "" {
		return refuse(
			"hostler director import prints this file as hostler's; images and flavors are found by rules there, docs/director-metal.md",
			"scout %s: not one that came with Arsenal", c.Scout,
		)
	}
	if !c.Proportional() {
		return refuse(
			"hostler director import prints this file as hostler's; a strategy of your own is an executable there, docs/director-metal.md",
			"module_class %s: not the one that came with Arsenal", c.Strategy,
		)
	}
	images, flavors, err := ironic.Preset(preset)
	if err != nil {
		return opt, nil, err
	}
	for i := range flavors {
		flavors[i].Way = ironic.Passthru // what Arsenal's ramdisk understands
	}
	env := c.Credential
	if env("OS_AUTH_URL") == "" || env("OS_TOKEN") == "" && (env("OS_USERNAME") == "" || env("OS_PASSWORD") == "") {
		return refuse(
			"admin_username, admin_password, admin_url and admin_tenant_name of [ironic], or os_username, os_password, os_api_url and os_tenant_name of [client_wrapper]",
			"there are no credentials in it",
		)
	}
	cred, err := credentials.Find(credentials.Where{Getenv: env})
	if err != nil {
		return opt, nil, err
	}
	cred.From = c.File
	s, err := openstack.NewSession(cred, openstack.SessionOptions{Rate: 100})
	if err != nil {
		return opt, nil, err
	}
	scout, err := ironic.NewScout(ironic.ScoutOptions{Session: s, Installation: installation, Images: images, Flavors: flavors})
	if err != nil {
		return opt, nil, err
	}
	commander, err := ironic.NewCommander(ironic.CommanderOptions{Session: s, Installation: installation, Flavors: flavors, Log: log})
	if err != nil {
		return opt, nil, err
	}
	p := strategy.Proportional{Share: c.Share, Weights: strategy.Weights{Default: c.DefaultWeight}, AnyNode: true}
	opt = imagecache.Options{Scout: scout, Commander: commander, Strategy: &p, Log: log, PollSpacing: c.PollSpacing,
		DirectiveSpacing: c.DirectiveSpacing, DryRun: c.DryRun,
		CacheRate: loop.Rate{N: c.CacheLimit, Period: c.CachePeriod},
		EjectRate: loop.Rate{N: c.EjectLimit, Period: c.EjectPeriod}}
	if c.WeightsFile != "" {
		opt.Strategy = &strategy.WithWeights{Proportional: p, File: c.WeightsFile, Log: log}
	}
	if c.LogStatistics {
		opt.Told = func(r *imagecache.Report) { LogStatistics(log, r) }
	}
	return opt, func() { _ = commander.Close(); s.CloseIdle() }, nil
}
