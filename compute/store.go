package compute

import "time"

// SourceRecord is one definition of a source as the store knows it. A name that was given another
// definition has another record.
type SourceRecord struct {
	Key    int64
	Name   string
	Digest string // of the keys that determine how its computers are made
	Type   string
	Place  string // the root of configuration that defines it
	// enough to open its provider when the configuration is gone; no secrets, only references to
	// them
	Definition []byte
	Counts     Counts // kept by the store in the same transaction as the instances

	Backoff
	// since when its place does not answer, and then why is LastError; zero: it does
	Unreachable time.Time
	Aim         Aim // what the director wants of it
}

// Why is its last error for people. Where its place does not answer, it says since when.
func (r *SourceRecord) Why() string {
	if r.Unreachable.IsZero() {
		return r.LastError
	}
	return "it cannot be reached since " + r.Unreachable.UTC().Format(time.RFC3339) + ": " + r.LastError
}

// Backoff is why nothing is made for a time, of a source or for what a request asks of it.
type Backoff struct {
	Failures  int       // failures to create, in a row
	Full      int       // answers in a row that there is no room, which is no failure
	Paused    time.Time // no create before; zero: not paused
	LastError string    // of the last failure to create, or the last such answer
}

// None reports whether nothing is held against it: the last try was a success, or there was none.
func (b *Backoff) None() bool { return b.Failures == 0 && b.Full == 0 && b.Paused.IsZero() }

// Counts are a source's instances by state.
type Counts struct {
	Creating, SettingUp, Ready, Leased, Cleaning, Failed, Discarding, Held int
}

// InUse counts leased instances.
func (c Counts) InUse() int { return c.Leased }

// Cached counts instances that are made, or being made, and not in use.
func (c Counts) Cached() int { return c.Creating + c.SettingUp + c.Ready + c.Cleaning }

// Present counts what takes a place under the maximum: cached and used instances, and those not yet
// proved to be gone.
func (c Counts) Present() int { return c.Cached() + c.InUse() + c.Discarding + c.Failed }

// Waiter is a request that waits in the queue. It dies with its worker.
type Waiter struct {
	ID     int64 // grows
	Source string
	Wants  []int64 // records of the sources that could serve it, pools' children included
	Count  int
	Owner  string
	Worker int64
	Since  time.Time

	Project  string  // "": the default one
	Priority int     // a higher number goes first
	Purpose  string  // for people
	Cores    float64 // each instance's at least, as asked for
	Memory   int64   // bytes
	Disk     int64   // bytes
	// how many later requests went before it while it was the one that had waited longest
	Passed int
	Reason string // why it waits, for people; "": its turn has not come
	// what it asks for, in the engine's own encoding, where that is more than the sizes above
	Asks string
}

// InstanceQuery selects instances; zero fields select all.
type InstanceQuery struct {
	SourceKey int64
	Source    string // of the source of this name, whatever its definition
	Owner     string // under a living lease of this owner's
	States    []State
	Child     ID // the pool's instance in front of this one
	// only those that are being worked on, or wait for it: Creating, SettingUp, Cleaning,
	// Discarding
	Busy  bool
	After int64 // rows after this one
	Limit int   // at most; 0: all
}

// LeaseQuery selects leases, oldest first; zero fields select all that live.
type LeaseQuery struct {
	Instance  ID
	Instances []ID // only those of these instances; nil: of all
	Source    string
	Owner     string
	Name      string
	Projects  []string // only of these; nil: of all
	// only leases that may have to end: their deadline has passed at this time, or they are bound
	// to a process or worker
	Due time.Time
	// of leases with a deadline only the first to end, of those bound to a process or worker any
	// one
	Soonest bool
	Ended   bool  // ended leases, newest first, in place of living ones
	After   int64 // rows after this one; of those that live
	Limit   int   // at most; 0: all
}

// EventQuery selects events, oldest first; zero fields select all.
type EventQuery struct {
	After    int64
	Instance ID
	Source   string
	Lease    string
	Projects []string // only of these; nil: of all
	// with Projects: also events of no project, such as that an instance was made ahead of need
	Common bool
	Newest int // only so many of the newest
	Limit  int // at most, the oldest of them; 0: all
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
}

// InstanceTx reads and writes instances. A missing one is ErrNotFound.
type InstanceTx interface {
	// Instance returns an instance by its name.
	Instance(id ID) (*Instance, error)
	// Pick returns up to n ready instances of a source, oldest record first, that no other
	// transaction can pick too.
	Pick(sourceKey int64, n int) ([]*Instance, error)
	// Instances returns the instances that a query selects.
	Instances(q InstanceQuery) ([]*Instance, error)
	// SaveInstance inserts a record whose Row is 0 and sets Row, or updates it. An update leaves
	// ID, Source, SourceKey, Child and Created as they were. A name that exists is ErrConflict.
	SaveInstance(i *Instance) error
	// DropInstance removes an instance's record; its events stay. A missing one is no error.
	DropInstance(i *Instance) error
}

// LeaseTx reads and writes leases.
type LeaseTx interface {
	// Lease returns a lease by its id, ended or not.
	Lease(id string) (*Lease, error)
	// LeaseOf returns the lease that has all of an instance now. It does not return leases of
	// parts: Leases does.
	LeaseOf(id ID) (*Lease, error)
	// Leases returns the leases that a query selects.
	Leases(q LeaseQuery) ([]*Lease, error)
	// InsertLease adds a lease and sets Row. ErrConflict: a living lease has the same name, or the
	// same instance, unless both are of parts.
	InsertLease(l *Lease) error
	// SaveLease updates what may change of a lease.
	SaveLease(l *Lease) error
	// Held sums what the living leases of a project and one of its users count; owner "": of all
	// its users. Leases that pools hold do not count.
	Held(project, owner string) (Capacity, error)
}

// ShareTx keeps what is free on shared instances, so that one with room is found among many. It is
// an index alone: the living leases decide whether a part fits.
type ShareTx interface {
	// SetRoom notes what is free on an instance; nil removes it from the index.
	SetRoom(i *Instance, free *Amount) error
	// Rooms returns up to n (0: all) instances of a source with at least so much free. Those with
	// the least free come first: fewest cores, then least memory.
	Rooms(sourceKey int64, least Amount, n int) ([]*Instance, error)
}

// SourceTx reads and writes the records of sources.
type SourceTx interface {
	// Source returns the record of one definition of a name.
	Source(name, digest string) (*SourceRecord, error)
	// SourcesNamed returns the records of all definitions of a name.
	SourcesNamed(name string) ([]*SourceRecord, error)
	// SourceByKey returns a record by its key.
	SourceByKey(key int64) (*SourceRecord, error)
	// Sources returns all records.
	Sources() ([]*SourceRecord, error)
	// SaveSource inserts a record whose Key is 0 and sets Key, or updates all but its Counts.
	SaveSource(s *SourceRecord) error
	// NextNumber returns a number that no instance of a source of this name had or will have, from
	// 1.
	NextNumber(name string) (int64, error)
}

// QueueTx reads and writes the queue.
type QueueTx interface {
	Waiters() ([]*Waiter, error) // first come first
	Join(w *Waiter) error        // sets ID
	// SaveWaiter updates Passed, Reason and Wants. A request that has left is ErrNotFound.
	SaveWaiter(w *Waiter) error
	// Leave removes a request from the queue.
	Leave(id int64) error
}

// JournalTx reads and writes the journal.
type JournalTx interface {
	// Append adds an event and returns its id, which grows.
	Append(e *Event) (int64, error)
	// Events returns the events that a query selects.
	Events(q EventQuery) ([]*Event, error)
	// Prune forgets events and ended leases older than a time.
	Prune(before time.Time) error
}
