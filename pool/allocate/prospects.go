package allocate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

// prospects is what sources have and can make, as far as is known.
type prospects struct {
	view    *View
	plan    *plan
	records map[*Source]*store.SourceRecord
	// present instances of older definitions
	olderInstances map[*Source]int
	// answers to whether another request tries for room now, where there was none
	tried    map[trial]bool
	backoffs map[int64][]Backoff
	paused   []error // why sources were passed over
}

// record returns the stored record of s, which it reads once. A failed read is not kept.
func (k *prospects) record(s *Source) (*store.SourceRecord, error) {
	if r := k.records[s]; r != nil {
		return r, nil
	}
	r, err := k.plan.Source(s.Name, s.Digest)
	if err == nil {
		k.records[s] = r
	}
	return r, err
}

// isTried reports whether something is already being made that tells if asks can be had, since
// the pause of a full source ended. Within one allocation the answer stays the same, as
// instances that the draw records itself do not count.
func (k *prospects) isTried(s *Source, r *store.SourceRecord, since time.Time, asks demand.Demand) (bool, error) {
	key := trial{s, since.UnixNano(), asks}
	if tried, known := k.tried[key]; known {
		return tried, nil
	}
	tried := false
	if r.Counts.Creating+r.Counts.SettingUp > 0 {
		is, err := k.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Creating, compute.SettingUp}})
		if err != nil {
			return false, err
		}
		for _, i := range is {
			tried = tried || !i.Created.Before(since) && k.view.Now.Sub(i.Created) < tryPatience && demand.Read(i.Booked.Asks).Within(asks)
		}
	}
	if k.tried == nil {
		k.tried = map[trial]bool{}
	}
	k.tried[key] = tried
	return tried, nil
}

// pausedBy returns why a source makes nothing now.
func (k *prospects) pausedBy(s *Source, r *store.SourceRecord) error {
	if Unreachable(r) {
		return &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrUnavailable, Err: errors.New(r.Why()),
			Hint: "its leases stay; `hostler source test " + s.Name + "` tries it now",
		}
	}
	if r.Failures < BreakAt { // its place is full, which is no failure
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Err: errors.New(r.LastError)}
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrUnavailable,
		Err: fmt.Errorf(
			"paused for %v after %d failures to create: %s", r.Paused.Sub(k.view.Now).Round(time.Second), r.Failures, r.LastError,
		),
		Hint: "`hostler source test " + s.Name + "` tries it now"}
}

// below returns how many more instances a source may have under its maximum. Instances of older
// definitions of it, configured at the same place, count too.
func (k *prospects) below(s *Source, r *store.SourceRecord) int {
	m := k.view.Maximum(s)
	if m == 0 {
		return unlimited
	}
	if k.olderInstances == nil {
		k.olderInstances = map[*Source]int{}
	}
	n, known := k.olderInstances[s]
	if !known {
		recs, err := k.plan.Sources(s.Name)
		if err != nil {
			k.paused = append(k.paused, err)
			return 0
		}
		for _, o := range recs {
			if o.Key != r.Key && o.Place == s.Place {
				n += o.Counts.Present()
			}
		}
		k.olderInstances[s] = n
	}
	return max(0, m-r.Counts.Present()-n)
}

// ofKey returns a want for the source of a record.
func (k *prospects) ofKey(w demand.Demand, key int64) demand.Demand {
	for _, s := range k.view.Ordered {
		if k.view.KeyOf(s) == key && s.Type != PoolType {
			return w.Beyond(s.usual())
		}
	}
	return w
}

// unreached returns why no place of a source answers; none: some do.
func (k *prospects) unreached(s *Source) (why []error, err error) {
	for _, c := range s.All() {
		if c.Type == PoolType {
			continue
		}
		r, err := k.record(c)
		if err != nil || !Unreachable(r) {
			return nil, err
		}
		why = append(why, k.pausedBy(c, r))
	}
	return why, nil
}

// mayFitOn reports whether an instance is, or may be, large enough.
func (k *prospects) mayFitOn(s *Source, i *compute.Instance, asks demand.Demand) bool {
	if !s.Share {
		return Lacks(asks.Amount(), i.Facts) == ""
	}
	if i.State == compute.Creating || i.State == compute.SettingUp {
		return true // its size is not known yet
	}
	has, known := share.SizeOf(i.Facts)
	return known && share.Of(has).Has(asks.Amount())
}

// serves reports whether the ready instances that a source keeps do for a want, as far as is known.
func (k *prospects) serves(s *Source, asked demand.Demand) bool {
	if asked.Chosen() {
		return false
	}
	return slices.ContainsFunc(s.All(), func(c *Source) bool {
		if c.Type == PoolType {
			return false
		}
		w := asked.Beyond(c.usual())
		w.Price = 0 // a request that finds it too dear does not wait for it
		has, known := k.view.MadeLast(k.view.KeyOf(c))
		return w == demand.Demand{} ||
			known && has.Micro() >= w.Amount().Micro() && has.Memory >= w.Memory && has.Disk >= w.Disk && has.GPUs >= w.GPUs
	})
}

// replaceable reports whether a source, or one below a pool, makes other instances in place of
// those that go.
func (k *prospects) replaceable(key int64) bool {
	for _, s := range k.view.Ordered {
		if k.view.KeyOf(s) != key {
			continue
		}
		return slices.ContainsFunc(s.All(), func(c *Source) bool {
			o := k.view.Provider(k.view.KeyOf(c))
			return c.Type != PoolType && !c.Share && o != nil && !o.Failed && len(o.Names) == 0
		})
	}
	return false
}

// mayMakeRoom reports whether an instance of a source may go for a want: another would be made
// in its place, and nothing known says that this would be in vain.
func (k *prospects) mayMakeRoom(s *Source, asked demand.Demand) (bool, error) {
	r, err := k.record(s)
	if err != nil || !k.replaceable(r.Key) || r.Paused.After(k.view.Now) || !k.view.Affords(s, asked.Price) {
		return false, err
	}
	asks := asked.Beyond(s.usual())
	if k.isTrying(s, r, asks) {
		return false, nil
	}
	h, err := k.backoff(r.Key, asks)
	return h == nil || h.Full < BreakAt || k.view.Now.Sub(h.Paused) > PauseMost, err
}
