package cloud

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// flavors returns the table of flavors. It is asked for anew when it is old.
func (c *Cloud) flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	c.mu.Lock()
	t, at := c.table, c.tableAt
	c.mu.Unlock()
	if t != nil && !fresh && time.Since(at) < c.t.Flavors {
		return t, nil
	}
	t, err := c.door.Flavors(ctx, fresh || t != nil)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.table, c.tableAt = t, time.Now()
	c.mu.Unlock()
	return t, nil
}

// CheapestServerFlavor returns the flavor with the fewest cores, then the least memory, then the
// least disk, that has so many cores and so much memory (MiB) and a name that the regular
// expression matches somewhere. Errors are flavor.ErrNone and flavor.ErrRegex, or the cloud's.
func (c *Cloud) CheapestServerFlavor(ctx context.Context, cores, ram int, regex string) (Flavor, error) {
	t, err := c.flavors(ctx, false)
	if err != nil {
		return Flavor{}, err
	}
	return t.Cheapest(flavor.Need{Cores: cores, RAM: ram, Regex: regex})
}

// CheapestServerFlavors returns flavors of classes of hardware, as flavor.Table.Choose does.
func (c *Cloud) CheapestServerFlavors(
	ctx context.Context, cores, ram int, regex string, sets [][]string, order flavor.Order,
) ([]Flavor, error) {
	t, err := c.flavors(ctx, false)
	if err != nil {
		return nil, err
	}
	return t.Choose(flavor.Need{Cores: cores, RAM: ram, Regex: regex}, sets, order)
}

// PickServerFlavor chooses of CheapestServerFlavors the first that has not lately failed for lack
// of hardware, and of all that have, the first. The same request gets the same for a while.
func (c *Cloud) PickServerFlavor(ctx context.Context, cores, ram int, regex string, sets [][]string, order flavor.Order) (Flavor, error) {
	all, err := c.CheapestServerFlavors(ctx, cores, ram, regex, sets, order)
	if err != nil {
		return Flavor{}, err
	}
	c.mu.Lock()
	f, ok, err := c.memory.Pick(kindOf(cores, ram, regex, sets, order), time.Now(), func() ([]Flavor, error) { return all, nil })
	c.mu.Unlock()
	if err == nil && !ok {
		// which says why there is none, or finds one that is of no set
		return c.CheapestServerFlavor(ctx, cores, ram, regex)
	}
	return f, err
}

// GetServerFlavor returns the flavor of exactly an id, else of exactly a name. One that is not
// known is looked for anew.
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

// GetQuota returns how much the project may have, and has with what others made in it.
func (c *Cloud) GetQuota(ctx context.Context) (Quota, error) { return c.door.Quota(ctx) }

// Spawnable is how many more servers of a flavor with a disk (GiB) there can be now, beside those
// that any process on the store is asking for; where there can be none, why, for people.
func (c *Cloud) Spawnable(ctx context.Context, f Flavor, disk int) (n int, why string, err error) {
	q, err := c.door.Quota(ctx)
	if err != nil {
		return 0, "", err
	}
	all, err := c.book.all(ctx)
	if err != nil {
		return 0, "", err
	}
	limit := flavor.Unlimited
	if c.opt.MaxServers > 0 {
		limit = max(0, c.opt.MaxServers-len(all))
	}
	n, why = q.Spawnable(f, disk, c.book.reserved(all), limit)
	return n, why, nil
}
