package pool

import (
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// apply writes what was decided, in the order in which it was. ended, if it is not nil, tells why
// the request has ended meanwhile.
func (p *records) apply(tx store.Tx, changes []allocate.Change, ended func() error) error {
	for _, c := range changes {
		if ended != nil && ended() != nil {
			return ended()
		}
		if err := p.applyOne(tx, c); err != nil {
			return err
		}
	}
	return nil
}

func (p *records) applyOne(tx store.Tx, c allocate.Change) error {
	for range c.Numbers {
		if _, err := tx.NextNumber(c.Grant.Source.Name); err != nil {
			return err
		}
	}
	switch c.Kind {
	case allocate.Leave:
		return tx.Leave(c.Waiter.ID)
	case allocate.PassOver:
		c.Waiter.Passed++
		return tx.SaveWaiter(c.Waiter)
	case allocate.Discard:
		return p.toDiscarding(tx, c.Instance, c.Why)
	case allocate.Create:
		l := c.Grant.Lease
		e := compute.Event{Lease: c.Grant.Instance.Wanted, Owner: l.Owner, Project: l.Project}
		if child := c.Grant.Instance.Child; child != "" {
			e.Data = map[string]string{"child": string(child)}
		}
		_, err := p.core.set(tx, c.Grant.Instance, compute.Creating, e)
		return err
	case allocate.HandStanding:
		i := c.Grant.Instance
		basis, err := tx.Append(
			&compute.Event{Time: i.ReadyAt, Kind: "made", Source: i.Source, Instance: i.ID, Text: "it stands there anyway"},
		)
		if err != nil {
			return err
		}
		i.Basis = basis
		return p.hand(tx, c.Grant, c.Pending)
	case allocate.HandOut:
		return p.hand(tx, c.Grant, c.Pending)
	case allocate.HandPart:
		return p.handPart(tx, c.Grant, c.Pending)
	}
	return fmt.Errorf("a change of kind %d is not known", c.Kind)
}
