package inventory

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// Book reads what there is.
type Book interface {
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
	Leaf(ctx context.Context, id compute.ID) (compute.Instance, error)
	Instances(ctx context.Context, q InstanceQuery) ([]compute.Instance, error)
	Leases(ctx context.Context, q LeaseQuery) ([]compute.Lease, error)
	Events(ctx context.Context, q EventQuery) ([]compute.Event, error)
	Status(ctx context.Context) ([]SourceStatus, error)
}

// Operator acts on the instances themselves.
type Operator interface {
	Fill(ctx context.Context, names ...string) ([]compute.ID, error)
	Hold(ctx context.Context, who compute.Who, reason string, names ...compute.ID) error
	Test(ctx context.Context, name string) (TestResult, error)
}

// Waiters shows and changes the queue.
type Waiters interface {
	Queue(ctx context.Context) ([]Queued, error)
	Cancel(ctx context.Context, who compute.Who, id int64) error
}
