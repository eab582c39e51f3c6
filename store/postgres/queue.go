package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store/record"
)

// readQueue asks for the queue.
func (t *tx) readQueue() query {
	var all []*inventory.Waiter
	q := collect(&all, func(s scanner) (*inventory.Waiter, error) {
		var w inventory.Waiter
		var since int64
		var text string
		if err := s.Scan(&w.ID, &w.Source, &w.Wants, &w.Count, &w.Owner, &w.Worker, &since, &w.Project, &text); err != nil {
			return nil, err
		}
		w.Source, w.Owner, w.Project, w.Since = decode(w.Source), decode(w.Owner), decode(w.Project), record.Time(since)
		var d record.Asked
		err := record.Unpack(text, &d)
		d.Give(&w)
		return &w, err
	}, "SELECT id, source, wants, count, owner, worker, since, project, detail FROM waiters ORDER BY id")
	read := q.rows
	q.rows = func(rows pgx.Rows) error {
		err := read(rows)
		if err == nil {
			t.m.queue, t.m.queued = all, true
		}
		return err
	}
	return q
}

// Waiters returns the queue.
func (t *tx) Waiters() (out []*inventory.Waiter, err error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	if !t.m.queued {
		if err := t.ask(t.readQueue()); err != nil {
			return nil, err
		}
	}
	for _, w := range t.m.queue {
		c := *w
		c.Wants = slices.Clone(w.Wants)
		out = append(out, &c)
	}
	return out, nil
}

// Join puts a request at the end of the queue.
func (t *tx) Join(w *inventory.Waiter) error {
	if err := t.writing(); err != nil {
		return err
	}
	t.m.last.waiter++
	w.ID = t.m.last.waiter
	c := *w
	c.Wants = slices.Clone(w.Wants)
	t.m.queue = append(t.m.queue, &c)
	t.joins = append(t.joins, &c)
	return nil
}

// SaveWaiter updates what may change of a request that waits.
func (t *tx) SaveWaiter(w *inventory.Waiter) error {
	if err := t.writing(); err != nil {
		return err
	}
	if !t.m.queued {
		if err := t.ask(t.readQueue()); err != nil {
			return err
		}
	}
	n := slices.IndexFunc(t.m.queue, func(o *inventory.Waiter) bool { return o.ID == w.ID })
	if n < 0 {
		return absent(errNoRow, "request")
	}
	now := t.m.queue[n]
	now.Passed, now.Reason, now.Wants = w.Passed, w.Reason, slices.Clone(w.Wants)
	if t.mark(now) && !slices.Contains(t.joins, now) {
		t.waits = append(t.waits, now)
	}
	return nil
}

// Leave takes a request out of the queue.
func (t *tx) Leave(id int64) error {
	if err := t.writing(); err != nil {
		return err
	}
	is := func(w *inventory.Waiter) bool { return w.ID == id }
	t.m.queue = slices.DeleteFunc(t.m.queue, is)
	t.waits = slices.DeleteFunc(t.waits, is)
	if n := slices.IndexFunc(t.joins, is); n >= 0 {
		t.joins = slices.Delete(t.joins, n, n+1)
		return nil
	}
	t.leaves = append(t.leaves, id)
	return nil
}
