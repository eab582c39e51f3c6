package inventory

import "github.com/hostler-project/hostler/compute"

// Counts are a source's instances by state.
type Counts struct {
	Creating, SettingUp, Ready, Leased, Cleaning, Failed, Discarding, Held int
}

// InUse counts leased instances.
func (c Counts) InUse() int { return c.Leased }

// Cached counts instances that are made, or being made, and not in use.
func (c Counts) Cached() int { return c.Creating + c.SettingUp + c.Ready + c.Cleaning }

// Present counts what takes a place under the maximum: cached and used instances, and those not yet
// proved to be gone.
func (c Counts) Present() int { return c.Cached() + c.InUse() + c.Discarding + c.Failed }

// Add counts n more instances in a state.
func (c *Counts) Add(s compute.State, n int) {
	switch s {
	case compute.Creating:
		c.Creating += n
	case compute.SettingUp:
		c.SettingUp += n
	case compute.Ready:
		c.Ready += n
	case compute.Leased:
		c.Leased += n
	case compute.Cleaning:
		c.Cleaning += n
	case compute.Failed:
		c.Failed += n
	case compute.Discarding:
		c.Discarding += n
	case compute.Held:
		c.Held += n
	}
}

// Plus returns the sum of both.
func (c Counts) Plus(o Counts) Counts {
	return Counts{
		c.Creating + o.Creating, c.SettingUp + o.SettingUp, c.Ready + o.Ready, c.Leased + o.Leased,
		c.Cleaning + o.Cleaning, c.Failed + o.Failed, c.Discarding + o.Discarding, c.Held + o.Held,
	}
}
