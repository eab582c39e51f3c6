package sqlite

import (
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store/record"
)

// Append adds an event to the journal. It is written with the others of its transaction, before a
// reader can look for it.
func (t *tx) Append(e *compute.Event) (int64, error) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if t.readOnly {
		_, err := t.write("") // refused
		return 0, err
	}
	m, err := t.memory()
	if err == nil && m.last == 0 {
		err = t.row("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)").Scan(&m.last)
	}
	if err != nil {
		return 0, err
	}
	m.last++
	e.ID = m.last
	t.writes++
	t.events = append(t.events, *e)
	return e.ID, nil
}

// together is how many events one statement writes: each statement has its price, whatever it
// writes.
const together = 16

const insertEvents = "INSERT INTO events (id, time, kind, source, instance, lease, owner, text, data, project) VALUES " +
	"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

var insertMany = insertEvents + strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", together-1)

// writeEvents writes the appended events.
func (t *tx) writeEvents() error {
	events := t.events
	t.events = nil
	for len(events) > 0 {
		n, q := 1, insertEvents
		if len(events) >= together {
			n, q = together, insertMany
		}
		args := make([]any, 0, 10*n)
		for _, e := range events[:n] {
			args = append(
				args, e.ID, record.Nanos(e.Time), e.Kind, e.Source, string(e.Instance), e.Lease, e.Owner, e.Text, record.Pack(e.Data),
				e.Project,
			)
		}
		if _, err := t.write(q, args...); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// Events returns those that the query selects, oldest first.
func (t *tx) Events(q inventory.EventQuery) ([]*compute.Event, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	var w where
	if q.After != 0 {
		w.and("id > ?", q.After)
	}
	if q.Instance != "" {
		w.and("instance = ?", string(q.Instance))
	}
	if q.Source != "" {
		w.and("source = ?", q.Source)
	}
	if q.Lease != "" {
		w.and("lease = ?", q.Lease)
	}
	common := ""
	if q.Common {
		common = "owner = '' AND lease = ''"
	}
	w.amongOr("project", q.Projects, common)
	text := "SELECT id, time, kind, source, instance, lease, owner, text, data, project FROM events" + w.text
	if q.Newest > 0 {
		text = "SELECT * FROM (" + text + " ORDER BY id DESC LIMIT ?)"
		w.args = append(w.args, q.Newest)
	}
	text += " ORDER BY id" + limit(q.Limit)
	return collect(t, func(s scanner) (*compute.Event, error) {
		var e compute.Event
		var at int64
		var data string
		if err := s.Scan(&e.ID, &at, &e.Kind, &e.Source, &e.Instance, &e.Lease, &e.Owner, &e.Text, &data, &e.Project); err != nil {
			return nil, err
		}
		e.Time = record.Time(at)
		return &e, record.Unpack(data, &e.Data)
	}, text, w.args...)
}
