package sources

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// A source's configuration may come to lead to another place than where some of its instances are:
// the current context of a kubeconfig was changed. Ready instances there are given to nobody, as
// nothing can be done with them from here, and others serve. Now and then one of them is looked at
// again.

const (
	misplacedMost  = 1000 // how many are passed over by what is known of one
	misplacedBatch = 50   // how many of these in one transaction
)

// MisplacedError is for an instance that is not where its source's configuration leads now.
type MisplacedError struct{ err error }

func (e *MisplacedError) Error() string { return e.err.Error() }

func (e *MisplacedError) Unwrap() error { return e.err }

// SetMisplaced records in a ready instance that it is passed over; the caller saves it. The journal
// has one event for all instances in that place. The others are passed over once spreadMisplaced
// has been called.
func (p *Providers) SetMisplaced(tx store.Tx, i *compute.Instance, cause error) error {
	why := CauseOf(cause)
	told := i.Reason == why
	i.Reason, i.Cause, i.Retry = why, "", time.Now().Add(allocate.ElsewherePause)
	if !told {
		is, err := tx.Instances(inventory.InstanceQuery{
			SourceKey: i.SourceKey, States: []compute.State{compute.Ready}, Limit: misplacedBatch,
		})
		if err != nil {
			return err
		}
		told = slices.ContainsFunc(is, func(o *compute.Instance) bool { return o.Row != i.Row && o.Reason == why })
	}
	if told {
		return nil
	}
	_, err := tx.Append(&compute.Event{Time: time.Now(), Kind: "elsewhere", Source: i.Source, Instance: i.ID, Text: why})
	return err
}

// SpreadMisplaced marks all instances of a source in the same place as one that setMisplaced
// marked. It marks a few in each transaction, so that hand-outs of other sources do not wait for
// all of them.
func (p *Providers) SpreadMisplaced(ctx context.Context, from *compute.Instance) error {
	identity := from.Facts[provider.FactIdentity]
	if identity == "" {
		return nil
	}
	for after, n := int64(0), 0; n < misplacedMost; n += misplacedBatch {
		last := int64(0)
		err := p.core.Store.Update(ctx, func(tx store.Tx) error {
			last = 0
			is, err := tx.Instances(inventory.InstanceQuery{
				SourceKey: from.SourceKey, States: []compute.State{compute.Ready}, After: after, Limit: misplacedBatch,
			})
			if err != nil {
				return err
			}
			for _, o := range is {
				// else another process has recorded it
				if o.Facts[provider.FactIdentity] == identity && o.Retry.Before(from.Retry.Add(-allocate.ElsewherePause/2)) {
					o.Reason, o.Cause, o.Retry = from.Reason, "", from.Retry
					if err := tx.SaveInstance(o); err != nil {
						return err
					}
				}
			}
			if len(is) == misplacedBatch {
				last = is[len(is)-1].Row
			}
			return nil
		})
		if err != nil || last == 0 {
			return err
		}
		after = last
	}
	return nil
}

// Identify records the identity of an instance's computer, if its provider has one. Before the
// computer is made it is saved at once. It tells a later worker, under another configuration, that
// it does not look where the instance is.
func (p *Providers) Identify(ctx context.Context, o *Opened, i *compute.Instance) error {
	r := o.Identity
	if r.Of == nil {
		return nil
	}
	if was := i.Facts[provider.FactIdentity]; was != "" {
		if err := r.Leads(ctx, was); err != nil {
			return err
		}
	}
	identity, err := r.Of(ctx, i.ID)
	if err != nil || identity == i.Facts[provider.FactIdentity] {
		return err
	}
	j := *i
	Known(&j, identity)
	if i.ProviderID == "" {
		err = p.core.Store.Update(ctx, func(tx store.Tx) error {
			if err := p.core.CheckOwned(tx, i); err != nil {
				return err
			}
			return tx.SaveInstance(&j)
		})
	}
	if err == nil {
		i.Facts = j.Facts
	}
	return err
}

// Known notes an instance's identity; "": its provider has none.
func Known(i *compute.Instance, identity string) {
	if identity != "" {
		facts := map[string]string{}
		maps.Copy(facts, i.Facts)
		facts[provider.FactIdentity] = identity
		i.Facts = facts
	}
}

// Leads returns an error if an instance's provider does not look where its computer is; nil: it
// does, or that is not known.
func (o *Opened) Leads(ctx context.Context, i *compute.Instance) error {
	if identity := i.Facts[provider.FactIdentity]; o.Identity.Leads != nil && identity != "" {
		return o.Identity.Leads(ctx, identity)
	}
	return nil
}

// Same returns an error if another computer has an instance's name; nil: it is the same, or not
// known.
func (o *Opened) Same(ctx context.Context, i *compute.Instance) error {
	if identity := i.Facts[provider.FactIdentity]; o.Identity.Same != nil && identity != "" {
		return o.Identity.Same(ctx, i.ID, identity)
	}
	return nil
}
