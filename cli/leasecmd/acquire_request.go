package leasecmd

import (
	"math"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Request makes a request from the options and the configuration.
func (o *AcquireFlags) Request(a *cli.App, source string) (compute.Request, error) {
	req := compute.Request{
		Source: source, Count: 1, Owner: a.Owner(), Own: true, Purpose: o.Purpose, Name: o.Name, Wait: cli.WaitDefault,
		TTL: o.Ttl.OrNone(), Idle: o.idle.OrNone(), Cores: o.cores.OrNone(), Memory: o.memory.Bytes, Disk: o.disk.Bytes,
		GPUs: o.gpus, MaxPrice: o.maxPrice,
		Image: o.made.Image, Flavor: o.made.Flavor, Location: o.made.Location,
	}
	if name := a.Project(); name != nil {
		req.Project = *name
	}
	if o.first != nil {
		req.Priority = o.first()
	}
	if req.Priority < inventory.MinPriority || req.Priority > inventory.MaxPriority {
		return req, fault.Invalid("", "--priority %d: not from %d to %d", req.Priority, inventory.MinPriority, inventory.MaxPriority)
	}
	if o.gpus < 0 {
		return req, fault.Invalid("", "--gpus %d: less than none", o.gpus)
	}
	if o.priced != nil && o.priced() && !(o.maxPrice > 0) {
		return req, fault.Invalid("", "--max-price %v: it must be more than nothing", o.maxPrice)
	}
	if math.IsInf(o.maxPrice, 0) {
		return req, fault.Invalid("without --max-price anything will do", "--max-price %v: it is no price", o.maxPrice)
	}
	for _, l := range o.Labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return req, fault.Invalid("", "--label %s: not KEY=VALUE", l)
		}
		if req.Labels == nil {
			req.Labels = map[string]string{}
		}
		req.Labels[key] = value
	}
	if err := api.CheckRequest(req); err != nil {
		return req, err
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return req, err
	}
	if d := cfg.Defaults.Wait; d != nil {
		req.Wait = *d
	}
	if o.Wait.Given {
		req.Wait = o.Wait.Value
	}
	showTree(a, &req, o.Start)
	return req, nil
}
