package leasing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/journal"
	"github.com/hostler-project/hostler/store"
)

// HandPart gives a lease on a shared instance.
func (p *Records) HandPart(tx store.Tx, u *allocate.Grant, pending bool) error {
	i, l := u.Instance, u.Lease
	i.Uses++
	if err := tx.SaveInstance(i); err != nil {
		return err
	}
	l.Generation = i.Generation
	var err error
	if l.Holds, err = p.View(tx).Count(tx, u, l); err != nil {
		return err
	}
	if pending {
		l.Worker = p.core.Store.Worker()
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

// Reroom updates what is free on the instances of grants that book parts.
func (p *Records) Reroom(tx store.Tx, units []*allocate.Grant) error {
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

// Holds checks that the first part fits a new instance, now that its size is known. The instance
// may rest on a child that was ready and was never measured.
func (p *Records) Holds(tx store.Tx, u *allocate.Grant) error {
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

// reroomOf notes what is free on an instance that others may share, once one of its leases has been
// handed over. Before that it may turn out not to be fit.
func (p *Records) reroomOf(tx store.Tx, i *compute.Instance) error {
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

// EndShares ends the leases of parts among those that come back, and returns what comes back whole:
// instances with one lease alone, and instances whose last part this was, with that lease still to
// be ended. force asks for instances to be discarded, which is refused while others have parts of
// them.
func (p *Leases) EndShares(tx store.Tx, back []Taken, why allocate.Reason, force bool) ([]Taken, error) {
	var mine map[compute.ID][]*compute.Lease
	for _, t := range back {
		if t.Lease != nil && t.Lease.Share != nil {
			if mine == nil {
				mine = map[compute.ID][]*compute.Lease{}
			}
			mine[t.Instance.ID] = append(mine[t.Instance.ID], t.Lease)
		}
	}
	if mine == nil {
		return back, nil
	}
	var whole []Taken
	for _, t := range back {
		if t.Lease == nil || t.Lease.Share == nil {
			whole = append(whole, t)
			continue
		}
		ending := mine[t.Instance.ID]
		if len(ending) == 0 {
			continue // it was handled with the first of its leases
		}
		delete(mine, t.Instance.ID)
		all, err := tx.Leases(inventory.LeaseQuery{Instance: t.Instance.ID})
		if err != nil {
			return nil, err
		}
		left := without(all, ending)
		if len(left) > 0 && force {
			return nil, &compute.Error{ID: t.Instance.ID, Kind: compute.ErrConflict, Err: errNeighbours(left),
				Hint: "a plain release gives back your part alone"}
		}
		if len(left) == 0 { // the last one ends with the instance's use
			whole = append(whole, Taken{t.Instance, ending[len(ending)-1]})
			ending = ending[:len(ending)-1]
		}
		for _, l := range ending {
			if err := EndLease(tx, l, why); err != nil {
				return nil, err
			}
			e := compute.Event{Time: time.Now(), Kind: "released", Source: t.Instance.Source, Instance: t.Instance.ID,
				Lease: l.ID, Owner: l.Owner, Project: l.Project, Text: why.Text,
				Data: map[string]string{journal.Beside: "yes"}}
			if _, err := tx.Append(&e); err != nil {
				return nil, err
			}
		}
		if len(left) == 0 {
			err = tx.SetRoom(t.Instance, nil)
		} else {
			err = p.records.reroomOf(tx, t.Instance)
		}
		if err != nil {
			return nil, err
		}
	}
	return whole, nil
}

// without returns the leases that are not among others.
func without(all, others []*compute.Lease) (left []*compute.Lease) {
	ids := map[string]bool{}
	for _, l := range others {
		ids[l.ID] = true
	}
	for _, l := range all {
		if !ids[l.ID] {
			left = append(left, l)
		}
	}
	return left
}

// errNeighbours says whose leases keep an instance from being taken away. It does not show their
// ids to others.
func errNeighbours(ls []*compute.Lease) error {
	var owners []string
	for _, l := range ls {
		if !slices.Contains(owners, l.Owner) {
			owners = append(owners, l.Owner)
		}
	}
	return fmt.Errorf("other leases have parts of it, of %s", strings.Join(owners, ", "))
}

// listed names a few leases for people, by name and id.
func listed(ls []*compute.Lease) string {
	const most = 8
	var out []string
	for n, l := range ls {
		if n == most {
			out = append(out, fmt.Sprintf("and %d more", len(ls)-most))
			break
		}
		word := l.ID
		if l.Name != "" {
			word = l.Name + " (" + l.ID + ")"
		}
		out = append(out, word)
	}
	return strings.Join(out, ", ")
}

// EndAll ends the leases of an instance that turned out to be unfit: the one that has all of it, or
// those of parts.
func (p *Leases) EndAll(tx store.Tx, i *compute.Instance, why allocate.Reason) error {
	l, err := tx.LeaseOf(i.ID)
	if err == nil {
		return EndLease(tx, l, why)
	} else if !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	ls, err := tx.Leases(inventory.LeaseQuery{Instance: i.ID})
	if err != nil || len(ls) == 0 {
		return err
	}
	for _, l := range ls {
		if err := EndLease(tx, l, why); err != nil {
			return err
		}
	}
	return tx.SetRoom(i, nil)
}

// shareOf returns the lease that a caller means by the name of a shared instance, as meant does. It
// returns nil if the instance has no lease.
func (p *Leases) shareOf(tx store.Tx, who compute.Who, i *compute.Instance) (*compute.Lease, error) {
	ls, err := tx.Leases(inventory.LeaseQuery{Instance: i.ID})
	if err != nil || len(ls) == 0 {
		return nil, err
	}
	return meant(who, i.ID, ls, "several leases have parts of it", "name the lease that is meant, and not the instance")
}

// meant returns the one of several leases that a caller means by a name they share: the one whose
// id it presents, else its own, of which there must be one. If none is its own it returns
// another's, which the caller may not use.
func meant(who compute.Who, name compute.ID, ls []*compute.Lease, several, hint string) (*compute.Lease, error) {
	if b := who.Within; b != nil {
		inside := slices.DeleteFunc(slices.Clone(ls), func(l *compute.Lease) bool {
			return b.Projects != nil && !slices.Contains(b.Projects, l.Project) || b.Source != "" && b.Source != l.Source
		})
		if len(inside) == 0 {
			return ls[0], nil // the caller gets ErrNotFound
		}
		ls = inside
	}
	var own []*compute.Lease
	for _, l := range ls {
		if who.Lease != "" && l.ID == who.Lease {
			return l, nil
		}
		if l.Owner == who.Owner {
			own = append(own, l)
		}
	}
	switch {
	case who.Lease != "", len(own) == 0 && !who.Admin:
		return ls[0], nil
	case len(own) == 0:
		own = ls
	}
	if len(own) > 1 {
		return nil, &compute.Error{ID: name, Kind: compute.ErrConflict, Err: fmt.Errorf("%s: %s", several, listed(own)), Hint: hint}
	}
	return own[0], nil
}

// HadShare reports whether a caller had a part of an instance, by a lease that has ended, while
// others have theirs.
func (p *Leases) HadShare(tx store.Tx, who compute.Who, id compute.ID) (bool, error) {
	if who.Lease != "" {
		l, err := tx.Lease(who.Lease)
		if errors.Is(err, compute.ErrNotFound) {
			return false, nil
		}
		return err == nil && l.Instance == id && !l.Ended.IsZero(), err
	}
	ls, err := tx.Leases(inventory.LeaseQuery{Instance: id, Owner: who.Owner, Ended: true, Limit: 1})
	return len(ls) > 0, err
}

// Alone returns an error if other leases have parts of an instance that is to be taken away.
func (p *Leases) Alone(tx store.Tx, i *compute.Instance, l *compute.Lease) error {
	if l.Share == nil {
		return nil
	}
	all, err := tx.Leases(inventory.LeaseQuery{Instance: i.ID})
	if err != nil {
		return err
	}
	if left := without(all, []*compute.Lease{l}); len(left) > 0 {
		return &compute.Error{
			ID: i.ID, Kind: compute.ErrConflict, Err: errNeighbours(left),
			Hint: "try again when they have given them back",
		}
	}
	return nil
}
