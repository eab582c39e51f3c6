package cloud

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/flavor"
)

// flavors returns the table of flavors, and asks the cloud again when it is old.
func (c *Cloud) flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	c.mu.Lock()
	t, at := c.table, c.tableAt
	c.mu.Unlock()
	if t != nil && !fresh && time.Since(at) < c.t.Flavors {
		return t, nil
	}
	t, err := c.backend.Flavors(ctx, fresh || t != nil)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.table, c.tableAt = t, time.Now()
	c.mu.Unlock()
	return t, nil
}

// CheapestServerFlavor returns the smallest flavor with at least so many cores and so much memory
// in MiB. Its name must match the regular expression. Fewer cores come first, then less memory,
// then less disk. Errors are flavor.ErrNone, flavor.ErrRegex or the cloud's.
func (c *Cloud) CheapestServerFlavor(ctx context.Context, cores, ram int, regex string) (Flavor, error) {
	t, err := c.flavors(ctx, false)
	if err != nil {
		return Flavor{}, err
	}
	return t.Cheapest(flavor.Need{Cores: cores, RAM: ram, Regex: regex})
}

// CheapestServerFlavors returns the flavors of several classes of hardware, as flavor.Table.Choose
// does.
func (c *Cloud) CheapestServerFlavors(
	ctx context.Context, cores, ram int, regex string, sets [][]string, order flavor.Order,
) ([]Flavor, error) {
	t, err := c.flavors(ctx, false)
	if err != nil {
		return nil, err
	}
	return t.Choose(flavor.Need{Cores: cores, RAM: ram, Regex: regex}, sets, order)
}

// PickServerFlavor returns the first of CheapestServerFlavors that has not lately failed for lack
// of hardware. If all have, it returns the first. The same request gets the same flavor for a
// while.
func (c *Cloud) PickServerFlavor(ctx context.Context, cores, ram int, regex string, sets [][]string, order flavor.Order) (Flavor, error) {
	all, err := c.CheapestServerFlavors(ctx, cores, ram, regex, sets, order)
	if err != nil {
		return Flavor{}, err
	}
	c.mu.Lock()
	f, ok, err := c.memory.Pick(kindOf(cores, ram, regex, sets, order), time.Now(), func() ([]Flavor, error) { return all, nil })
	c.mu.Unlock()
	if err == nil && !ok {
		// this says why there is none, or finds one that is in no set
		return c.CheapestServerFlavor(ctx, cores, ram, regex)
	}
	return f, err
}

// GetServerFlavor finds a flavor by its exact id, else by its exact name. For an unknown one it
// asks the cloud again.
func (c *Cloud) GetServerFlavor(ctx context.Context, idOrName string) (Flavor, error) {
	t, err := c.flavors(ctx, false)
	if err != nil {
		return Flavor{}, err
	}
	f, err := t.Get(idOrName)
	if !errors.Is(err, compute.ErrNotFound) {
		return f, err
	}
	if t, err = c.flavors(ctx, true); err != nil {
		return Flavor{}, err
	}
	return t.Get(idOrName)
}

// GetQuota returns the project's limits and use, others' use included.
func (c *Cloud) GetQuota(ctx context.Context) (q Quota, err error) {
	all, _, err := c.backend.Quota(ctx, false)
	if err != nil {
		return q, err
	}
	for _, one := range all {
		var most, used *int
		unit := int64(1)
		switch one.Name {
		case clouds.QuotaInstances:
			most, used = &q.Max.Instances, &q.Used.Instances
		case clouds.QuotaCores:
			most, used = &q.Max.Cores, &q.Used.Cores
		case clouds.QuotaMemory:
			most, used, unit = &q.Max.RAM, &q.Used.RAM, 1<<20
		case clouds.QuotaVolumeBytes:
			most, used, unit = &q.Max.Volume, &q.Used.Volume, 1<<30
		default:
			continue
		}
		if one.Max != nil {
			*most = int(*one.Max / unit)
		}
		if one.Used != nil {
			*used = int(*one.Used / unit)
		}
	}
	return q, nil
}

// Spawnable returns how many more servers of a flavor with a disk (GiB) fit now. It counts those
// that any process on the store is asking for. If n is 0, why says the reason to the user.
func (c *Cloud) Spawnable(ctx context.Context, f Flavor, disk int) (n int, why string, err error) {
	q, err := c.GetQuota(ctx)
	if err != nil {
		return 0, "", err
	}
	all, err := c.records.all(ctx)
	if err != nil {
		return 0, "", err
	}
	limit := flavor.Unlimited
	if c.opt.MaxServers > 0 {
		limit = max(0, c.opt.MaxServers-len(all))
	}
	n, why = q.Spawnable(f, disk, c.records.reserved(all), limit)
	return n, why, nil
}
