package pool

import (
	"context"
	"maps"

	"github.com/hostler-project/hostler/compute"
)

// identify has the identity of an instance's computer be known, where its provider says one: before
// it is made that is recorded at once, as it is what tells a worker of later, under another
// configuration, that it does not look where the instance is.
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

// known notes an instance's identity; "": its provider says none.
func known(i *compute.Instance, identity string) {
	if identity != "" {
		facts := map[string]string{}
		maps.Copy(facts, i.Facts)
		facts[compute.FactIdentity] = identity
		i.Facts = facts
	}
}

// leads says why an instance's provider does not look where its computer is; nil: it does, or
// nobody knows.
func (o *opened) leads(ctx context.Context, i *compute.Instance) error {
	r, ok := compute.As[compute.Recognizer](o.provider)
	if identity := i.Facts[compute.FactIdentity]; ok && identity != "" {
		return r.Leads(ctx, identity)
	}
	return nil
}

// same says why what has an instance's name is not its computer; nil: it is, or nobody knows.
func (o *opened) same(ctx context.Context, i *compute.Instance) error {
	r, ok := compute.As[compute.Recognizer](o.provider)
	if identity := i.Facts[compute.FactIdentity]; ok && identity != "" {
		return r.Same(ctx, i.ID, identity)
	}
	return nil
}
