package store

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Transactor runs transactions. Those of Update may write, and its function runs again if it has
// to. Those of View may not.
type Transactor interface {
	Update(ctx context.Context, fn func(Tx) error) error
	View(ctx context.Context, fn func(Tx) error) error
}

// A Tx is a transaction on the store. One goroutine uses it, inside of the function that was given
// it, and not after. Records returned are the caller's own copies.
type Tx interface {
	InstanceTx
	LeaseTx
	ShareTx
	SourceTx
	QueueTx
	JournalTx
	NoteTx
	AnswerTx
	TokenTx
	AuditTx
	SlapTx
}

// InstanceTx reads and writes instances. A missing one is ErrNotFound.
type InstanceTx interface {
	// Instance returns an instance by its name.
	Instance(id compute.ID) (*compute.Instance, error)
	// Pick returns up to n ready instances of a source, oldest record first, that no other
	// transaction can pick too.
	Pick(sourceKey int64, n int) ([]*compute.Instance, error)
	// Instances returns the instances that a query selects.
	Instances(q inventory.InstanceQuery) ([]*compute.Instance, error)
	// SaveInstance inserts a record whose Row is 0 and sets Row, or updates it. An update leaves
	// ID, Source, SourceKey, Child and Created as they were. A name that exists is ErrConflict.
	SaveInstance(i *compute.Instance) error
	// DropInstance removes an instance's record; its events stay. A missing one is no error.
	DropInstance(i *compute.Instance) error
}

// LeaseTx reads and writes leases.
type LeaseTx interface {
	// Lease returns a lease by its id, ended or not.
	Lease(id string) (*compute.Lease, error)
	// LeaseOf returns the lease that has all of an instance now. It does not return leases of
	// parts: Leases does.
	LeaseOf(id compute.ID) (*compute.Lease, error)
	// Leases returns the leases that a query selects.
	Leases(q inventory.LeaseQuery) ([]*compute.Lease, error)
	// InsertLease adds a lease and sets Row. ErrConflict: a living lease has the same name, or the
	// same instance, unless both are of parts.
	InsertLease(l *compute.Lease) error
	// SaveLease updates what may change of a lease.
	SaveLease(l *compute.Lease) error
	// Held sums what the living leases of a project and one of its users count; owner "": of all
	// its users. Leases that pools hold do not count.
	Held(project, owner string) (compute.Capacity, error)
}

// ShareTx keeps what is free on shared instances, so that one with room is found among many. It is
// an index alone: the living leases decide whether a part fits.
type ShareTx interface {
	// SetRoom notes what is free on an instance; nil removes it from the index.
	SetRoom(i *compute.Instance, free *compute.Resources) error
	// Rooms returns up to n (0: all) instances of a source with at least so much free. Those with
	// the least free come first: fewest cores, then least memory.
	Rooms(sourceKey int64, least compute.Resources, n int) ([]*compute.Instance, error)
}

// SourceTx reads and writes the records of sources.
type SourceTx interface {
	// Source returns the record of one definition of a name.
	Source(name, digest string) (*SourceRecord, error)
	// Sources returns the records of all definitions of a name; "": of all names.
	Sources(name string) ([]*SourceRecord, error)
	// SourceByKey returns a record by its key.
	SourceByKey(key int64) (*SourceRecord, error)
	// SaveSource inserts a record whose Key is 0 and sets Key, or updates all but its Counts.
	SaveSource(s *SourceRecord) error
	// NextNumber returns a number that no instance of a source of this name had or will have, from
	// 1.
	NextNumber(name string) (int64, error)
	// LastNumber returns the last one that NextNumber returned; 0: none yet.
	LastNumber(name string) (int64, error)
}

// QueueTx reads and writes the queue.
type QueueTx interface {
	Waiters() ([]*inventory.Waiter, error) // first come first
	Join(w *inventory.Waiter) error        // sets ID
	// SaveWaiter updates Passed, Reason and Wants. A request that has left is ErrNotFound.
	SaveWaiter(w *inventory.Waiter) error
	// Leave removes a request from the queue.
	Leave(id int64) error
}

// JournalTx reads and writes the journal.
type JournalTx interface {
	// Append adds an event and returns its id, which grows.
	Append(e *compute.Event) (int64, error)
	// Events returns the events that a query selects.
	Events(q inventory.EventQuery) ([]*compute.Event, error)
	// Prune forgets events and ended leases older than a time.
	Prune(before time.Time) error
}
