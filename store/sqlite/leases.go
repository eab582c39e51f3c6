package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

const leaseColumns = "row, id, name, instance, owner, generation, given, used, expires, ended, why, pid, worker, project, detail"

// scanLease reads a row; a transaction that writes keeps it in memory too.
func (t *tx) scanLease(s scanner) (*compute.Lease, error) {
	r := &leaseRow{}
	err := s.Scan(
		&r.row, &r.id, &r.name, &r.instance, &r.owner, &r.generation, &r.given, &r.used, &r.expires, &r.ended, &r.why,
		&r.pid, &r.worker, &r.project, &r.detail,
	)
	if err != nil {
		return nil, err
	}
	if !t.readOnly {
		m, err := t.memory()
		if err != nil {
			return nil, err
		}
		m.knowLease(r)
	}
	return t.lease(r)
}

// lease is a row's record.
func (t *tx) lease(r *leaseRow) (*compute.Lease, error) {
	l := &compute.Lease{Row: r.row, ID: r.id, Name: r.name, Instance: r.instance, Owner: r.owner,
		Generation: r.generation, Given: record.Time(r.given), Used: record.Time(r.used),
		Expires: record.Time(r.expires), Ending: compute.Ending{Ended: record.Time(r.ended), Why: r.why}, For: compute.Process{PID: r.pid},
		Worker: r.worker, Project: r.project}
	if err := t.s.terms.give(r.detail, l); err != nil {
		return nil, fmt.Errorf("record of lease %s: %w", l.ID, err)
	}
	return l, nil
}

// Lease returns a lease by its id.
func (t *tx) Lease(id string) (*compute.Lease, error) {
	if !t.readOnly {
		m, err := t.memory()
		if err != nil {
			return nil, err
		}
		if r := m.leases[id]; r != nil {
			return t.lease(r)
		}
	}
	l, err := t.scanLease(t.row("SELECT "+leaseColumns+" FROM leases INDEXED BY leases_id WHERE id = ? ORDER BY ended > 0 LIMIT 1", id))
	return l, t.read(err, id)
}

// LeaseOf returns the living lease that has all of an instance.
func (t *tx) LeaseOf(id compute.ID) (*compute.Lease, error) {
	l, err := t.scanLease(t.row("SELECT "+leaseColumns+" FROM leases WHERE instance = ? AND share = '' AND ended = 0", string(id)))
	return l, t.read(err, string(id))
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
		w.and("instance = ?", string(q.Instance))
	}
	if q.Owner != "" {
		w.and("owner = ?", q.Owner)
	}
	w.among("project", q.Projects)
	if q.Name != "" {
		w.and("name <> '' AND name = ?", q.Name)
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
		names, err := json.Marshal(q.Instances)
		if err != nil {
			return nil, err
		}
		w.and("instance IN (SELECT value FROM json_each(?))", string(names))
	}
	if q.Source != "" {
		w.and("instance IN (SELECT id FROM instances WHERE source = ?)", q.Source)
	}
	if q.After != 0 {
		w.and("row > ?", q.After)
	}
	from := " FROM leases"
	if !q.Ended && q.Instance == "" && q.Name == "" && q.Due.IsZero() && !q.Soonest && len(q.Instances) == 0 && q.Source == "" {
		// else all that ever were would be read, to have them in order
		from += " INDEXED BY leases_live"
		if q.Owner == "" && q.Limit > 0 {
			// The index has the rows' numbers: only those of the page are read themselves.
			w.text = " WHERE row IN (SELECT row" + from + w.text + order + limit(q.Limit) + ")"
			from = " FROM leases"
		}
	}
	return collect(t, t.scanLease, "SELECT "+leaseColumns+from+w.text+order+limit(q.Limit), w.args...)
}

// InsertLease adds a lease.
func (t *tx) InsertLease(l *compute.Lease) error {
	if l.Ended.IsZero() {
		if err := store.FreeName(t, l.Name, l.Project); err != nil {
			return err
		}
	}
	text := t.s.terms.text(l)
	share := ""
	if l.Share != nil && l.Ended.IsZero() {
		share = l.ID
		if whole, err := t.LeaseOf(l.Instance); err == nil {
			return t.fail(&compute.Error{ID: l.Instance, Kind: compute.ErrConflict, Err: fmt.Errorf("lease %s has all of it", whole.ID)})
		} else if !errors.Is(err, compute.ErrNotFound) {
			return err
		}
	}
	r, err := t.write(`INSERT INTO leases (id, name, instance, owner, generation, given, used, expires, deadline, ended, why, pid, worker, detail, share, project)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		l.ID, l.Name, string(l.Instance), l.Owner, l.Generation, record.Nanos(l.Given), record.Nanos(l.Used),
		record.Nanos(l.Expires), record.Nanos(l.Deadline()), record.Nanos(l.Ended),
		l.Why, l.For.PID, l.Worker, text, share, l.Project)
	if unique(err) {
		return &compute.Error{ID: l.Instance, Kind: compute.ErrConflict, Err: errors.Join(errors.New("it has a lease"), err)}
	}
	if err != nil {
		return err
	}
	if l.Row, err = r.LastInsertId(); err != nil {
		return t.fail(err)
	}
	m, err := t.memory()
	if err == nil && l.Ended.IsZero() {
		m.held.Add(l, 1)
		m.knowLease(&leaseRow{
			l.Row, l.ID, l.Name, l.Instance, l.Owner, l.Generation, record.Nanos(l.Given), record.Nanos(l.Used), record.Nanos(l.Expires), 0,
			l.Why, l.For.PID, l.Worker, l.Project, text,
		})
	}
	return err
}

// SaveLease updates what may change of a lease.
func (t *tx) SaveLease(l *compute.Lease) error {
	text := t.s.terms.text(l)
	m, err := t.memory()
	if err != nil {
		return err
	}
	const set = "UPDATE leases SET used = ?, expires = ?, deadline = ?, ended = ?, why = ?, worker = ?, detail = ? WHERE "
	if known := m.leases[l.ID]; known != nil && known.instance == l.Instance {
		err := t.update(
			l.ID, set+"row = ?", record.Nanos(l.Used), record.Nanos(l.Expires), record.Nanos(l.Deadline()),
			record.Nanos(l.Ended), l.Why, l.Worker,
			text, known.row,
		)
		if err != nil {
			return err
		}
		if !l.Ended.IsZero() {
			m.held.Add(l, -1)
		}
		after := *known
		after.change(l, text)
		m.knowLease(&after)
		return nil
	}
	const named = set + "instance = ? AND id = ? AND ended "
	args := []any{record.Nanos(l.Used), record.Nanos(l.Expires), record.Nanos(l.Deadline()), record.Nanos(l.Ended),
		l.Why, l.Worker, text, string(l.Instance), l.ID}
	err = t.update(l.ID, named+"= 0", args...)
	if err == nil && !l.Ended.IsZero() {
		m.held.Add(l, -1)
	}
	if errors.Is(err, compute.ErrNotFound) {
		err = t.update(l.ID, named+"> 0", args...)
	}
	return err
}
