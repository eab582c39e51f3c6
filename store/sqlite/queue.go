package sqlite

import (
	"encoding/json"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// wait is the part of a waiter that no query asks for. It is one column, as the detail of an instance.
type wait struct {
	Priority int     `json:"priority,omitempty"`
	Purpose  string  `json:"purpose,omitempty"`
	Cores    float64 `json:"cores,omitempty"`
	Memory   int64   `json:"memory,omitempty"`
	Disk     int64   `json:"disk,omitempty"`
	Passed   int     `json:"passed,omitempty"`
	Reason   string  `json:"reason,omitempty"`
}

func packWaiter(w *compute.Waiter) (string, error) {
	d := wait{w.Priority, w.Purpose, w.Cores, w.Memory, w.Disk, w.Passed, w.Reason}
	if d == (wait{}) {
		return "", nil
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// Waiters returns the queue.
func (t *tx) Waiters() ([]*compute.Waiter, error) {
	if t.idle {
		return nil, nil
	}
	ws, err := collect(t, func(s scanner) (*compute.Waiter, error) {
		var w compute.Waiter
		var wants, text string
		var since int64
		if err := s.Scan(&w.ID, &w.Source, &wants, &w.Count, &w.Owner, &w.Worker, &since, &w.Project, &text); err != nil {
			return nil, err
		}
		var d wait
		err := errors.Join(json.Unmarshal([]byte(wants), &w.Wants), unpack(text, &d))
		w.Since = instant(since)
		w.Priority, w.Purpose, w.Cores, w.Memory, w.Disk, w.Passed, w.Reason = d.Priority, d.Purpose, d.Cores, d.Memory, d.Disk, d.Passed, d.Reason
		return &w, err
	}, "SELECT id, source, wants, count, owner, worker, since, project, detail FROM waiters ORDER BY id")
	t.idle = err == nil && len(ws) == 0
	return ws, err
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
	t.idle = false
	r, err := t.write("INSERT INTO waiters (source, wants, count, owner, worker, since, project, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		w.Source, string(wants), w.Count, w.Owner, w.Worker, nanos(w.Since), w.Project, text)
	if err != nil {
		return err
	}
	w.ID, err = r.LastInsertId()
	return err
}

// SaveWaiter updates what may change of a request that waits.
func (t *tx) SaveWaiter(w *compute.Waiter) error {
	wants, err := json.Marshal(w.Wants)
	if err != nil {
		return err
	}
	return t.update("request", "UPDATE waiters SET wants = ?, detail = json_set(iif(detail = '', '{}', detail), '$.passed', ?, '$.reason', ?) WHERE id = ?",
		string(wants), w.Passed, w.Reason, w.ID)
}

// Leave takes a request out of the queue.
func (t *tx) Leave(id int64) error {
	_, err := t.write("DELETE FROM waiters WHERE id = ?", id)
	return err
}
