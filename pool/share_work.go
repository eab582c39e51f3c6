package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/journal"
	"github.com/hostler-project/hostler/store"
)

// handPart gives a lease on a shared instance.
func (p *records) handPart(tx store.Tx, u *allocate.Grant, pending bool) error {
	i, l := u.Instance, u.Lease
	i.Uses++
	if err := tx.SaveInstance(i); err != nil {
		return err
	}
	l.Generation = i.Generation
	var err error
	if l.Holds, err = p.view(tx).Count(tx, u, l); err != nil {
		return err
	}
	if pending {
		l.Worker = p.core.store.Worker()
	}
	data := handOutData(u)
	data[journal.Beside] = "yes"
	e := compute.Event{
		Time: time.Now(), Kind: string(compute.Leased), Source: i.Source, Instance: i.ID, Lease: l.ID, Owner: l.Owner,
		Project: l.Project, Text: l.Purpose, Data: data,
	}
	if _, err := tx.Append(&e); err != nil {
		return err
	}
	return tx.InsertLease(l)
}

// reroom updates what is free on the instances of grants that book parts.
func (p *records) reroom(tx store.Tx, units []*allocate.Grant) error {
	seen := map[compute.ID]bool{}
	for _, u := range units {
		if u.Lease == nil || u.Lease.Share == nil || seen[u.Instance.ID] {
			continue
		}
		seen[u.Instance.ID] = true
		if err := p.reroomOf(tx, u.Instance); err != nil {
			return err
		}
	}
	return nil
}

// confirmShare confirms a lease on a shared instance. The size of a new instance is known only now.
func (p *creation) confirmShare(tx store.Tx, u *allocate.Grant, now time.Time) error {
	if u.Host == nil || !u.Host.Fresh {
		l, err := tx.Lease(u.Lease.ID)
		if err != nil {
			return err
		}
		if !l.Ended.IsZero() {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrStale, Err: fmt.Errorf("its lease has ended meanwhile: %s", l.Why)}
		}
		u.Lease.Worker, u.Lease.Used = 0, now
		return tx.SaveLease(u.Lease)
	}
	_, space, err := allocate.SpaceOf(tx, u.Instance)
	if err != nil {
		return err
	}
	if space == nil || !space.Has(*u.Lease.Share) {
		return &compute.Error{
			ID: u.Instance.ID, Kind: compute.ErrNoCapacity,
			Err: errors.New("it has less than those before it had, so not all that was asked for fits on it"),
		}
	}
	begin(u.Lease, now)
	return p.records.handPart(tx, u, false)
}

// begin sets a lease's beginning to now.
func begin(l *compute.Lease, now time.Time) {
	l.Given, l.Used = now, now
	if l.TTL > 0 {
		l.Expires = now.Add(l.TTL)
	}
}

// measure completes the size of a new instance of a source with `share`, by asking the computer
// itself.
func (p *providers) measure(ctx context.Context, u *allocate.Grant) error {
	facts := u.Instance.Facts
	var err error
	if o := p.ready(u.Instance.SourceKey); o != nil && (facts["cores"] == "" || facts["memory"] == "" || facts["disk"] == "") {
		err = p.ask(ctx, o, u.Instance)
	}
	has, known := compute.AmountOf(u.Instance.Facts)
	if !known {
		return errors.Join(allocate.SizeUnknown(u.Instance.ID), err)
	}
	p.learnSize(u)
	if least := u.Demand.Amount(); !share.Of(has).Has(least) {
		return allocate.SmallerThan(u.Instance.ID, has, least)
	}
	return nil
}

// holds checks that the first part fits a new instance, now that its size is known. The instance
// may rest on a child that was ready and was never measured.
func (p *records) holds(tx store.Tx, u *allocate.Grant) error {
	if u.Lease.Share == nil {
		return nil
	}
	has, known, err := allocate.AmountOf(tx, u.Instance)
	switch {
	case err != nil:
		return err
	case !known:
		return allocate.SizeUnknown(u.Instance.ID)
	case !share.Of(has).Has(*u.Lease.Share):
		return allocate.SmallerThan(u.Instance.ID, has, *u.Lease.Share)
	}
	return nil
}

// ask fills in facts that an instance's provider did not give.
func (p *providers) ask(ctx context.Context, o *opened, i *compute.Instance) error {
	return await(ctx, bootPatience, time.Time{}, func(ctx context.Context) error {
		c, err := o.provider.Connect(ctx, i.ID)
		if err != nil {
			return err
		}
		defer c.Close()
		inf, ok := compute.As[compute.Informer](c)
		if !ok {
			return nil
		}
		f, err := inf.Facts(ctx)
		if err != nil {
			return err
		}
		facts := map[string]string{}
		for name, n := range map[string]int64{"cores": int64(f.Cores), "memory": f.Memory, "disk": f.Disk} {
			if n > 0 {
				facts[name] = fmt.Sprint(n)
			}
		}
		for name, v := range i.Facts {
			facts[name] = v
		}
		i.Facts = facts
		return nil
	})
}

// reroomOf notes what is free on an instance that others may share, once one of its leases has been
// handed over. Before that it may turn out not to be fit.
func (p *records) reroomOf(tx store.Tx, i *compute.Instance) error {
	if i.Row == 0 {
		return nil // not recorded yet
	}
	ls, space, err := allocate.SpaceOf(tx, i)
	if err != nil {
		return err
	}
	told := false
	for _, l := range ls {
		told = told || l.Worker == 0
	}
	if space == nil || !told {
		return tx.SetRoom(i, nil)
	}
	free := space.Free()
	return tx.SetRoom(i, &free)
}
