package sqlite

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store/record"
)

// waiting is the queue. It is asked for at each hand-out.
type waiting struct{ all []inventory.Waiter }

// queue is the session's, read anew where another has written since.
func (t *tx) queue() (*waiting, error) {
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	if m.waiting == nil {
		all, err := collect(
			t, scanWaiter,
			"SELECT id, source, wants, count, owner, worker, since, project, detail FROM waiters ORDER BY id",
		)
		if err != nil {
			return nil, err
		}
		m.waiting = &waiting{all}
	}
	return m.waiting, nil
}

func scanWaiter(s scanner) (w inventory.Waiter, err error) {
	var wants, text string
	var since int64
	if err := s.Scan(&w.ID, &w.Source, &wants, &w.Count, &w.Owner, &w.Worker, &since, &w.Project, &text); err != nil {
		return w, err
	}
	var d record.Asked
	err = errors.Join(json.Unmarshal([]byte(wants), &w.Wants), record.Unpack(text, &d))
	w.Since = record.Time(since)
	d.Give(&w)
	return w, err
}

// Waiters returns the queue.
func (t *tx) Waiters() ([]*inventory.Waiter, error) {
	q, err := t.queue()
	if err != nil || len(q.all) == 0 {
		return nil, err
	}
	own := slices.Clone(q.all)
	out := make([]*inventory.Waiter, len(own))
	for n := range own {
		own[n].Wants = slices.Clone(own[n].Wants)
		out[n] = &own[n]
	}
	return out, nil
}

// Join puts a request at the end of the queue.
func (t *tx) Join(w *inventory.Waiter) error {
	wants, err := json.Marshal(w.Wants)
	if err != nil {
		return err
	}
	q, err := t.queue()
	if err != nil {
		return err
	}
	r, err := t.write("INSERT INTO waiters (source, wants, count, owner, worker, since, project, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		w.Source, string(wants), w.Count, w.Owner, w.Worker, record.Nanos(w.Since), w.Project, record.AskedOf(w).Text())
	if err != nil {
		return err
	}
	if w.ID, err = r.LastInsertId(); err == nil {
		kept := *w
		kept.Wants, kept.Since = slices.Clone(w.Wants), record.Time(record.Nanos(w.Since))
		q.all = append(q.all, kept)
	}
	return err
}

// SaveWaiter updates what may change of a request that waits.
func (t *tx) SaveWaiter(w *inventory.Waiter) error {
	q, err := t.queue()
	if err != nil {
		return err
	}
	wants, err := json.Marshal(w.Wants)
	if err != nil {
		return err
	}
	err = t.update("request", "UPDATE waiters SET wants = ?, detail = json_set(iif(detail = '', '{}', detail), "+
		"'$.passed', ?, '$.reason', ?) WHERE id = ?",
		string(wants), w.Passed, w.Reason, w.ID)
	if n := q.find(w.ID); err == nil && n >= 0 {
		q.all[n].Wants, q.all[n].Passed, q.all[n].Reason = slices.Clone(w.Wants), w.Passed, w.Reason
	}
	return err
}

// Leave takes a request out of the queue.
func (t *tx) Leave(id int64) error {
	q, err := t.queue()
	if err != nil {
		return err
	}
	_, err = t.write("DELETE FROM waiters WHERE id = ?", id)
	if n := q.find(id); err == nil && n >= 0 {
		q.all = slices.Delete(q.all, n, n+1)
	}
	return err
}

// find tells where a request stands; -1: it is not there.
func (q *waiting) find(id int64) int {
	n, found := slices.BinarySearchFunc(q.all, id, func(w inventory.Waiter, id int64) int { return cmp.Compare(w.ID, id) })
	if !found {
		return -1
	}
	return n
}
