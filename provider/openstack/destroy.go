package openstack

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// Destroy deletes a server, and after its end what was made for it: floating IP, ports and volume.
// ErrNotFound: nothing of it is left.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	return Classify("Destroy", id, p.destroy(ctx, id))
}

// destroy asks for the deletion of the server, or else of what it left, and does not wait. It
// returns ErrNotFound only when nothing is left.
func (p *Provider) destroy(ctx context.Context, id compute.ID) error {
	if !plainName().MatchString(string(id)) {
		return &compute.Error{Op: "openstack.Destroy", ID: id, Kind: compute.ErrNotFound, Err: errors.New("not the name of a server")}
	}
	unlock, err := p.turns.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	v, err := p.inv.servers.fresh(ctx)
	if err != nil {
		return err
	}
	if all := v.servers[id]; len(all) > 0 {
		for _, s := range all {
			if err := p.inv.deleteServer(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
	left, err := p.inv.deleteLeftovers(ctx, id)
	if err != nil || left {
		return err
	}
	p.seen.forget(id)
	if len(v.servers) == 0 {
		if err := p.pair.drop(ctx); err != nil {
			return err
		}
	}
	return &compute.Error{
		Op: "openstack.Destroy", ID: id, Kind: compute.ErrNotFound,
		Err: errors.New("there is no such server, and nothing that was made for it"),
	}
}

// gone removes the error of a deletion if the thing does not exist any more.
func gone(err error) error {
	if err = Classify("Destroy", "", err); ReasonOf(err) == Missing {
		return nil
	}
	return err
}
