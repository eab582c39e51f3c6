package openstack

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/text/units"
)

// Choices lists the images, flavors and availability zones. Images and flavors that are new at the
// cloud are allowed too.
func (p *Provider) Choices(ctx context.Context, kind string) (all []provider.Named, open bool, err error) {
	cat := p.s.Catalog()
	switch kind {
	case provider.Images:
		images, err := cat.Images(ctx)
		for _, i := range images {
			all = append(all, provider.Named{ID: i.ID, Name: i.Name})
		}
		return all, true, err
	case provider.Flavors:
		t, err := cat.Flavors(ctx)
		if err != nil {
			return nil, true, err
		}
		for _, f := range t.All() {
			all = append(all, provider.Named{ID: f.ID, Name: f.Name})
		}
		return all, true, nil
	case provider.Locations:
		all, err := cat.Zones(ctx)
		return all, false, err
	}
	return nil, false, &compute.Error{
		Op: "openstack.Choices", Kind: compute.ErrInvalid, Err: fmt.Errorf("there are no %s to choose from", kind),
	}
}

// Probe checks that the log-in works, that the image, flavor, networks and groups exist, and that
// the quota has room for one more server.
func (p *Provider) Probe(ctx context.Context, spec compute.Spec) (note string, err error) {
	pl, err := p.planner.plan(ctx, spec)
	if err != nil {
		return "", Classify("Probe", "", err)
	}
	q, err := p.s.Quota(ctx)
	if err != nil {
		return "", Classify("Probe", "", err)
	}
	if err := q.room(pl.flavor, pl.disk, len(pl.networks), pl.pool != ""); err != nil {
		return "", &compute.Error{Op: "openstack.Probe", ID: compute.ID(p.o.Source), Err: err}
	}
	return fmt.Sprintf("image %s, flavor %s, user %s", pl.image.Name, pl.flavor, pl.user), nil
}

// room returns an error that lists the quotas without room for a server, with the amounts.
func (q Quota) room(f flavor.Flavor, disk, ports int, floating bool) error {
	var short []error
	large := false
	add := func(name string, l Limit, need int64, show func(int64) string) {
		if left := l.Free(); left >= 0 && need > left {
			short = append(short, fmt.Errorf("of %s %s are needed and %s are left of %s", name, show(need), show(left), show(l.Max)))
			large = large || need > l.Max
		}
	}
	number := func(n int64) string { return fmt.Sprint(n) }
	add("instances", q.Instances, 1, number)
	add("cores", q.Cores, int64(f.Cores), number)
	add("memory", q.Memory, int64(f.RAM)<<20, units.RoundSize)
	add("ports", q.Ports, int64(ports), number)
	if disk > 0 {
		add("volumes", q.Volumes, 1, number)
		add("volume storage", q.VolumeBytes, int64(disk)<<30, units.RoundSize)
	}
	if floating {
		add("floating IPs", q.FloatingIPs, 1, number)
	}
	if len(short) == 0 {
		return nil
	}
	kind := error(compute.ErrNoCapacity)
	if large {
		kind = compute.ErrTooLarge
	}
	f2 := &Fault{Reason: QuotaSpent, Message: "the project's quota: " + errors.Join(short...).Error()}
	return &compute.Error{Op: "openstack.Probe", Kind: kind, Err: f2, Hint: f2.hint()}
}
