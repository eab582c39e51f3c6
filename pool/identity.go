package pool

import (
	"context"
	"maps"

	"github.com/hostler-project/hostler/compute"
)

// identify records the identity of an instance's computer, if its provider has one. Before the
// computer is made it is saved at once. It tells a later worker, under another configuration, that
// it does not look where the instance is.
func (p *Pool) identify(ctx context.Context, o *opened, i *compute.Instance) error {
	r, ok := compute.As[compute.Recognizer](o.provider)
	if !ok {
		return nil
	}
	if was := i.Facts[compute.FactIdentity]; was != "" {
		if err := r.Leads(ctx, was); err != nil {
			return err
		}
	}
	identity, err := r.Identity(ctx, i.ID)
	if err != nil || identity == i.Facts[compute.FactIdentity] {
		return err
	}
	j := *i
	known(&j, identity)
	if i.ProviderID == "" {
		err = p.store.Update(ctx, func(tx compute.Tx) error {
			if err := p.mine(tx, i); err != nil {
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

// known notes an instance's identity; "": its provider has none.
func known(i *compute.Instance, identity string) {
	if identity != "" {
		facts := map[string]string{}
		maps.Copy(facts, i.Facts)
		facts[compute.FactIdentity] = identity
		i.Facts = facts
	}
}

// leads returns an error if an instance's provider does not look where its computer is; nil: it
// does, or that is not known.
func (o *opened) leads(ctx context.Context, i *compute.Instance) error {
	r, ok := compute.As[compute.Recognizer](o.provider)
	if identity := i.Facts[compute.FactIdentity]; ok && identity != "" {
		return r.Leads(ctx, identity)
	}
	return nil
}

// same returns an error if another computer has an instance's name; nil: it is the same, or not
// known.
func (o *opened) same(ctx context.Context, i *compute.Instance) error {
	r, ok := compute.As[compute.Recognizer](o.provider)
	if identity := i.Facts[compute.FactIdentity]; ok && identity != "" {
		return r.Same(ctx, i.ID, identity)
	}
	return nil
}
