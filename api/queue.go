package api

import (
	"time"

	"github.com/hostler-project/hostler/compute/inventory"
)

// Waiter is the document of a request that waits in the queue.
type Waiter struct {
	ID       int64     `json:"id" doc:"ID of the request, by which it can be cancelled"`
	Source   string    `json:"source"`
	Position int       `json:"position" doc:"Position among the requests that wait for the source, from 1"`
	Estimate *float64  `json:"estimate" doc:"Estimated seconds until the request is served. null means that there is no estimate."`
	Count    int       `json:"count" doc:"Number of leases that it asks for"`
	Owner    string    `json:"owner"`
	Project  string    `json:"project,omitempty" doc:"Project of the request. Left out for the default project."`
	Priority int       `json:"priority" doc:"A higher number goes first"`
	Purpose  string    `json:"purpose,omitempty"`
	Since    time.Time `json:"since" doc:"When the request was made"`
	Reason   string    `json:"reason,omitempty" doc:"Why the request waits, if it is more than its turn"`
	Cores    float64   `json:"cores,omitempty" doc:"Cores of each instance, at least"`
	Memory   int64     `json:"memory,omitempty" doc:"Bytes of memory of each instance, at least"`
	Disk     int64     `json:"disk,omitempty" doc:"Bytes of disk of each instance, at least"`
}

// NewWaiter makes the document of a waiting request.
func NewWaiter(q inventory.Queued) Waiter {
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
func (w Waiter) Compute() inventory.Queued {
	q := inventory.Queued{Position: w.Position, Waiter: inventory.Waiter{ID: w.ID, Source: w.Source, Count: w.Count,
		Owner: w.Owner, Project: w.Project, Priority: w.Priority,
		Purpose: w.Purpose, Since: w.Since, Reason: w.Reason, Cores: w.Cores, Memory: w.Memory, Disk: w.Disk}}
	if w.Estimate != nil {
		q.Estimate = span(*w.Estimate)
	}
	return q
}
