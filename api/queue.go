package api

import (
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Waiter is the document of a request that waits in the queue.
type Waiter struct {
	ID       int64     `json:"id" doc:"by which it can be taken out of the queue"`
	Source   string    `json:"source"`
	Position int       `json:"position" doc:"among those that wait for the source, from 1"`
	Estimate *float64  `json:"estimate" doc:"seconds until it is served, as far as can be told; null: not known"`
	Count    int       `json:"count" doc:"how many it asks for"`
	Owner    string    `json:"owner"`
	Project  string    `json:"project,omitempty" doc:"left out: the default one"`
	Priority int       `json:"priority" doc:"a higher number goes first"`
	Purpose  string    `json:"purpose,omitempty"`
	Since    time.Time `json:"since" doc:"when it was asked"`
	Reason   string    `json:"reason,omitempty" doc:"why it waits, where that is not for its turn alone"`
	Cores    float64   `json:"cores,omitempty" doc:"each instance's at least"`
	Memory   int64     `json:"memory,omitempty" doc:"bytes, each instance's at least"`
	Disk     int64     `json:"disk,omitempty" doc:"bytes, each instance's at least"`
}

// NewWaiter makes the document of a waiting request.
func NewWaiter(q compute.Queued) Waiter {
	w := Waiter{ID: q.ID, Source: q.Source, Position: q.Position, Count: q.Count, Owner: q.Owner, Project: q.Project,
		Priority: q.Priority, Purpose: q.Purpose,
		Since: q.Since, Reason: q.Reason, Cores: q.Cores, Memory: q.Memory, Disk: q.Disk}
	if q.Estimate > 0 {
		s := q.Estimate.Seconds()
		w.Estimate = &s
	}
	return w
}

// Compute returns the waiting request of a document.
func (w Waiter) Compute() compute.Queued {
	q := compute.Queued{Position: w.Position, Waiter: compute.Waiter{ID: w.ID, Source: w.Source, Count: w.Count,
		Owner: w.Owner, Project: w.Project, Priority: w.Priority,
		Purpose: w.Purpose, Since: w.Since, Reason: w.Reason, Cores: w.Cores, Memory: w.Memory, Disk: w.Disk}}
	if w.Estimate != nil {
		q.Estimate = span(*w.Estimate)
	}
	return q
}
