package sqlite

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// wait is the part of a waiter that no query asks for. It is one column, as the detail of an
// instance.
type wait struct {
	Priority int     `json:"priority,omitempty"`
	Purpose  string  `json:"purpose,omitempty"`
	Cores    float64 `json:"cores,omitempty"`
	Memory   int64   `json:"memory,omitempty"`
	Disk     int64   `json:"disk,omitempty"`
	Passed   int     `json:"passed,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	Asks     string  `json:"asks,omitempty"`
}

func packWaiter(w *compute.Waiter) (string, error) {
	d := wait{w.Priority, w.Purpose, w.Cores, w.Memory, w.Disk, w.Passed, w.Reason, w.Asks}
	if d == (wait{}) {
		return "", nil
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// waiting is the queue. It is asked for at each hand-out.
type waiting struct{ all []compute.Waiter }

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

func scanWaiter(s scanner) (w compute.Waiter, err error) {
	var wants, text string
	var since int64
	if err := s.Scan(&w.ID, &w.Source, &wants, &w.Count, &w.Owner, &w.Worker, &since, &w.Project, &text); err != nil {
		return w, err
	}
	var d wait
	err = errors.Join(json.Unmarshal([]byte(wants), &w.Wants), unpack(text, &d))
	w.Since = instant(since)
	w.Priority, w.Purpose, w.Cores, w.Memory, w.Disk, w.Passed, w.Reason, w.Asks = d.Priority, d.Purpose, d.Cores, d.Memory, d.Disk, d.Passed, d.Reason, d.Asks
	return w, err
}

// Waiters returns the queue.
func (t *tx) Waiters() ([]*compute.Waiter, error) {
	q, err := t.queue()
	if err != nil || len(q.all) == 0 {
		return nil, err
	}
	own := slices.Clone(q.all)
	out := make([]*compute.Waiter, len(own))
	for n := range own {
		own[n].Wants = slices.Clone(own[n].Wants)
		out[n] = &own[n]
	}
	return out, nil
}

// Join puts a request at the end of the queue.
func (t *tx) Join(w *compute.Waiter) error {
	wants, err := json.Marshal(w.Wants)
	if err != nil {
		return err
	}
	text, err := packWaiter(w)
	if err != nil {
		return err
	}
	q, err := t.queue()
	if err != nil {
		return err
	}
	r, err := t.write("INSERT INTO waiters (source, wants, count, owner, worker, since, project, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		w.Source, string(wants), w.Count, w.Owner, w.Worker, nanos(w.Since), w.Project, text)
	if err != nil {
		return err
	}
	if w.ID, err = r.LastInsertId(); err == nil {
		kept := *w
		kept.Wants, kept.Since = slices.Clone(w.Wants), instant(nanos(w.Since))
		q.all = append(q.all, kept)
	}
	return err
}

// SaveWaiter updates what may change of a request that waits.
func (t *tx) SaveWaiter(w *compute.Waiter) error {
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
	n, found := slices.BinarySearchFunc(q.all, id, func(w compute.Waiter, id int64) int { return cmp.Compare(w.ID, id) })
	if !found {
		return -1
	}
	return n
}
