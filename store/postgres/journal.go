package postgres

import (
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store/record"
)

// Append adds an event to the journal. Ids are ordered as the transactions are, so a reader that
// has seen one has seen all before it.
func (t *tx) Append(e *compute.Event) (int64, error) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if err := t.writing(); err != nil {
		return 0, err
	}
	t.m.last.event++
	e.ID = t.m.last.event
	t.events = append(t.events, *e)
	return e.ID, nil
}

func scanEvent(s scanner) (*compute.Event, error) {
	var e compute.Event
	var at int64
	var data string
	if err := s.Scan(&e.ID, &at, &e.Kind, &e.Source, (*string)(&e.Instance), &e.Lease, &e.Owner, &e.Text, &data, &e.Project); err != nil {
		return nil, err
	}
	e.Kind, e.Source, e.Instance, e.Lease = decode(e.Kind), decode(e.Source), decode(e.Instance), decode(e.Lease)
	e.Project = decode(e.Project)
	e.Owner, e.Text, e.Time = decode(e.Owner), decode(e.Text), record.Time(at)
	return &e, record.Unpack(data, &e.Data)
}

// Events returns those that the query selects, oldest first.
func (t *tx) Events(q inventory.EventQuery) ([]*compute.Event, error) {
	var w where
	if q.After != 0 {
		w.and("id > ?", q.After)
	}
	if q.Instance != "" {
		w.and("instance = ?", encode(q.Instance))
	}
	if q.Source != "" {
		w.and("source = ?", encode(q.Source))
	}
	if q.Lease != "" {
		w.and("lease = ?", encode(q.Lease))
	}
	common := ""
	if q.Common {
		common = "owner = '' AND lease = ''"
	}
	w.amongOr("project", q.Projects, common)
	text := "SELECT id, time, kind, source, instance, lease, owner, text, data, project FROM events" + w.text
	if q.Newest > 0 {
		text = "SELECT * FROM (" + text + " ORDER BY id DESC" + limit(q.Newest) + ") AS newest"
	}
	if err := t.ready(); err != nil {
		return nil, err
	}
	var out []*compute.Event
	err := t.ask(collect(&out, scanEvent, text+" ORDER BY id"+limit(q.Limit), w.args...))
	t.told = t.told || len(out) > 0
	return out, err
}

// Prune forgets events, and leases that ended, before a time.
func (t *tx) Prune(before time.Time) error {
	if err := t.writing(); err != nil {
		return err
	}
	return t.ask(query{text: "DELETE FROM events WHERE time < $1", args: []any{record.Nanos(before)}},
		query{text: "DELETE FROM leases WHERE ended > 0 AND ended < $1", args: []any{record.Nanos(before)}}, tidy(t.class))
}
