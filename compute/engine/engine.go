// Package engine has what a lease engine can be asked beside taking computers and giving them back
// (compute.Leaser). The engine itself answers, and so does a client of a controller.
package engine

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// Book reads what there is.
type Book interface {
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
	Leaf(ctx context.Context, id compute.ID) (compute.Instance, error)
	Instances(ctx context.Context, q compute.InstanceQuery) ([]compute.Instance, error)
	Leases(ctx context.Context, q compute.LeaseQuery) ([]compute.Lease, error)
	Events(ctx context.Context, q compute.EventQuery) ([]compute.Event, error)
	Status(ctx context.Context) ([]compute.SourceStatus, error)
}

// Operator acts on the instances themselves.
type Operator interface {
	Fill(ctx context.Context, names ...string) ([]compute.ID, error)
	Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error
	Test(ctx context.Context, name string) (compute.TestResult, error)
}

// Waiters shows and changes the queue.
type Waiters interface {
	Queue(ctx context.Context) ([]compute.Queued, error)
	Cancel(ctx context.Context, who compute.Who, id int64) error
}
