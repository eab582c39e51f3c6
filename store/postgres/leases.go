package postgres

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

const leaseColumns = "row, id, name, instance, owner, generation, given, used, expires, ended, why, pid, worker, project, detail"

func scanLease(s scanner) (*lease, error) {
	var l lease
	var text string
	var given, used, expires, ended int64
	err := s.Scan(&l.Row, &l.ID, &l.Name, (*string)(&l.Instance), &l.Owner, &l.Generation, &given, &used, &expires, &ended, &l.Why, &l.For.PID, &l.Worker,
		&l.Project, &text)
	if err != nil {
		return nil, err
	}
	l.ID, l.Name, l.Instance, l.Owner, l.Why = decode(l.ID), decode(l.Name), decode(l.Instance), decode(l.Owner), decode(l.Why)
	l.Project = decode(l.Project)
	l.Given, l.Used, l.Expires, l.Ended = record.Time(given), record.Time(used), record.Time(expires), record.Time(ended)
	return &l, record.ReadTerms(text, &l.Lease)
}

// leaseOf is the question for the living lease that has all of an instance.
func leaseOf(ls *[]*lease, id compute.ID) query {
	return collect(ls, scanLease, "SELECT "+leaseColumns+" FROM leases WHERE instance = $1 AND share = '' AND ended = 0", encode(id))
}

// lent1 remembers its answer.
func (t *tx) lent1(id compute.ID, ls []*lease) {
	t.m.leases[id] = nil
	for _, l := range ls {
		t.m.lend(l)
	}
}

// lease finds a lease by its id, ended or not: nil where there is none. One that lives is
// remembered.
func (t *tx) lease(id string) (*lease, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	if l := t.m.lives[id]; l != nil {
		return l, nil
	}
	var ls []*lease
	err := t.ask(collect(
		&ls, scanLease, "SELECT "+leaseColumns+" FROM leases WHERE id = $1 ORDER BY ended > 0, row DESC LIMIT 1",
		encode(id),
	))
	if err != nil || len(ls) == 0 {
		return nil, err
	}
	if ls[0].Ended.IsZero() {
		t.m.lend(ls[0])
	}
	return ls[0], nil
}

// Lease returns a lease by its id.
func (t *tx) Lease(id string) (*compute.Lease, error) {
	l, err := t.lease(id)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, absent(errNoRow, id)
	}
	return l.own(), nil
}

// LeaseOf returns the living lease that has all of an instance.
func (t *tx) LeaseOf(id compute.ID) (*compute.Lease, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	if _, known := t.m.leases[id]; !known {
		var ls []*lease
		if err := t.ask(leaseOf(&ls, id)); err != nil {
			return nil, err
		}
		t.lent1(id, ls)
	}
	l := t.m.leases[id]
	if l == nil {
		return nil, absent(errNoRow, string(id))
	}
	return l.own(), nil
}

// Leases returns those that the query selects.
func (t *tx) Leases(q inventory.LeaseQuery) ([]*compute.Lease, error) {
	var w where
	order := " ORDER BY row"
	if q.Ended {
		w.and("ended > 0")
		order = " ORDER BY row DESC"
	} else {
		w.and("ended = 0")
	}
	if q.Instance != "" {
		w.and("instance = ?", encode(q.Instance))
	}
	if q.Owner != "" {
		w.and("owner = ?", encode(q.Owner))
	}
	w.among("project", q.Projects)
	if q.Name != "" {
		w.and("name <> '' AND name = ?", encode(q.Name))
	}
	if !q.Due.IsZero() {
		// Written as a union so that each half has its own index.
		w.and(`row IN (SELECT row FROM leases WHERE ended = 0 AND deadline > 0 AND deadline <= ?
 UNION ALL SELECT row FROM leases WHERE ended = 0 AND (pid > 0 OR worker <> 0))`, record.Nanos(q.Due))
	}
	if q.Soonest {
		w.and(`row IN (SELECT row FROM (SELECT row FROM leases WHERE ended = 0 AND deadline > 0 ORDER BY deadline LIMIT 1) AS first
 UNION ALL SELECT row FROM (SELECT row FROM leases WHERE ended = 0 AND (pid > 0 OR worker <> 0) LIMIT 1) AS bound)`)
	}
	if len(q.Instances) > 0 {
		names := make([]string, len(q.Instances))
		for n, id := range q.Instances {
			names[n] = string(encode(id))
		}
		w.and("instance = ANY (?)", names)
	}
	if q.Source != "" {
		w.and("instance IN (SELECT id FROM instances WHERE source = ?)", encode(q.Source))
	}
	if q.After != 0 {
		w.and("row > ?", q.After)
	}
	if err := t.ready(); err != nil {
		return nil, err
	}
	var ls []*lease
	if err := t.ask(collect(&ls, scanLease, "SELECT "+leaseColumns+" FROM leases"+w.text+order+limit(q.Limit), w.args...)); err != nil {
		return nil, err
	}
	var out []*compute.Lease
	for _, l := range ls {
		out = append(out, &l.Lease) // memory has its own
	}
	return out, nil
}

// InsertLease adds a lease.
func (t *tx) InsertLease(l *compute.Lease) error {
	if err := t.writing(); err != nil {
		return err
	}
	lives := l.Ended.IsZero()
	if lives {
		if err := store.FreeName(t, l.Name, l.Project); err != nil {
			return err
		}
	}
	if lives && l.Share != nil {
		if whole, err := t.LeaseOf(l.Instance); err == nil {
			return t.fail(&compute.Error{ID: l.Instance, Kind: compute.ErrConflict, Err: fmt.Errorf("lease %s has all of it", whole.ID)})
		} else if !errors.Is(err, compute.ErrNotFound) {
			return err
		}
	} else if lives && t.m.leases[l.Instance] != nil {
		return t.fail(&compute.Error{ID: l.Instance, Kind: compute.ErrConflict, Err: errors.New("it has a lease")})
	}
	t.m.last.lease++
	l.Row = t.m.last.lease
	n := &lease{Lease: *l}
	n.Lease = *n.own()
	t.stamp(n)
	t.m.lend(n)
	t.touch(n.Instance)
	if lives {
		t.m.held.Add(&n.Lease, 1)
	}
	t.mark(n)
	t.lent = append(t.lent, n)
	return nil
}

// SaveLease updates what may change of a lease.
func (t *tx) SaveLease(l *compute.Lease) error {
	if err := t.writing(); err != nil {
		return err
	}
	now, err := t.lease(l.ID)
	if err != nil {
		return err
	}
	if now == nil || now.Instance != l.Instance {
		return absent(errNoRow, l.ID)
	}
	born := now.Lease
	now.Lease = *l
	now.Lease = *now.own()
	now.Row = born.Row
	now.Name, now.Owner, now.Generation, now.Given, now.For.PID, now.Project, now.Share = born.Name, born.Owner, born.Generation, born.Given, born.For.PID, born.Project, born.Share
	if born.Ended.IsZero() && !now.Ended.IsZero() {
		t.m.held.Add(&born, -1)
	}
	t.m.lend(now)
	t.touch(now.Instance)
	if t.mark(now) {
		t.kept = append(t.kept, now)
	}
	return nil
}
