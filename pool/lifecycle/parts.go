package lifecycle

import (
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
)

// Creation makes instances, sets them up and checks them, up to their hand-out or the cache.
type Creation struct {
	core      *state.Core
	providers *sources.Providers
	templates *sources.Templates
	records   *leasing.Records
	leases    *leasing.Leases
}

// Disposal cleans and discards instances, and takes them back from leases.
type Disposal struct {
	core      *state.Core
	clock     *state.Clock
	providers *sources.Providers
	templates *sources.Templates
	records   *leasing.Records
	leases    *leasing.Leases
	creation  *Creation
}

// Handouts is a request's way from a decision to leases that its user has.
type Handouts struct {
	core      *state.Core
	providers *sources.Providers
	records   *leasing.Records
	creation  *Creation
	disposal  *Disposal
}

// Health asks what has become of instances, and records those that have ended.
type Health struct {
	core      *state.Core
	providers *sources.Providers
	records   *leasing.Records
	disposal  *Disposal
	// looks at the ready instances of sources that have many, by source key
	sweeps map[int64]*sweep
}

// Ahead has providers keep computers standing ahead of need.
type Ahead struct {
	core      *state.Core
	providers *sources.Providers
	records   *leasing.Records
	said      map[int64]aheadCall // what they were told, by source key
}

// Rollouts replaces instances that are made of what is not their source's any more.
type Rollouts struct {
	core      *state.Core
	templates *sources.Templates
	records   *leasing.Records
	disposal  *Disposal
	handouts  *Handouts
	Rolls     map[string]bool // sources whose instances are being replaced
}

// Background does what is due: ended leases, what dead processes left, surplus, the cache.
type Background struct {
	core      *state.Core
	clock     *state.Clock
	providers *sources.Providers
	templates *sources.Templates
	records   *leasing.Records
	creation  *Creation
	disposal  *Disposal
	handouts  *Handouts
	health    *Health
	rollouts  *Rollouts
}

// keysOf returns the keys of grants in Inflight.
func keysOf(units []*allocate.Grant) (keys []string) {
	for _, u := range units {
		_ = u.Each(func(u *allocate.Grant) error {
			keys = append(keys, string(u.Instance.ID))
			if u.Lease != nil {
				keys = append(keys, u.Lease.ID)
			}
			return nil
		})
	}
	return keys
}

func NewCreation(c *state.Core, p *sources.Providers, t *sources.Templates, r *leasing.Records, l *leasing.Leases) *Creation {
	return &Creation{c, p, t, r, l}
}

func NewDisposal(c *state.Core, cl *state.Clock, p *sources.Providers, t *sources.Templates, r *leasing.Records,
	l *leasing.Leases, cr *Creation) *Disposal {
	return &Disposal{c, cl, p, t, r, l, cr}
}

func NewHandouts(c *state.Core, p *sources.Providers, r *leasing.Records, cr *Creation, d *Disposal) *Handouts {
	return &Handouts{c, p, r, cr, d}
}

func NewHealth(c *state.Core, p *sources.Providers, r *leasing.Records, d *Disposal) *Health {
	return &Health{core: c, providers: p, records: r, disposal: d}
}

func NewAhead(c *state.Core, p *sources.Providers, r *leasing.Records) *Ahead {
	return &Ahead{core: c, providers: p, records: r, said: map[int64]aheadCall{}}
}

func NewRollouts(c *state.Core, t *sources.Templates, r *leasing.Records, d *Disposal, h *Handouts) *Rollouts {
	return &Rollouts{c, t, r, d, h, map[string]bool{}}
}

func NewBackground(
	c *state.Core, cl *state.Clock, p *sources.Providers, t *sources.Templates, r *leasing.Records, cr *Creation,
	d *Disposal, h *Handouts, he *Health, ro *Rollouts,
) *Background {
	return &Background{c, cl, p, t, r, cr, d, h, he, ro}
}
