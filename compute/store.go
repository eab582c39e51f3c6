package compute

import "time"

// Backoff is why nothing is made for a time, of a source or for what a request asks of it.
type Backoff struct {
	// failures to create, in a row
	Failures int `json:"failures,omitempty"`
	// answers in a row that there is no room, which is no failure
	Full int `json:"full,omitempty"`
	// no create before; zero: not paused
	Paused time.Time `json:"paused,omitzero"`
	// of the last failure to create, or the last such answer
	LastError string `json:"error,omitempty"`
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

// Add counts n more instances in a state.
func (c *Counts) Add(s State, n int) {
	switch s {
	case Creating:
		c.Creating += n
	case SettingUp:
		c.SettingUp += n
	case Ready:
		c.Ready += n
	case Leased:
		c.Leased += n
	case Cleaning:
		c.Cleaning += n
	case Failed:
		c.Failed += n
	case Discarding:
		c.Discarding += n
	case Held:
		c.Held += n
	}
}

// Plus returns the sum of both.
func (c Counts) Plus(o Counts) Counts {
	return Counts{
		c.Creating + o.Creating, c.SettingUp + o.SettingUp, c.Ready + o.Ready, c.Leased + o.Leased,
		c.Cleaning + o.Cleaning, c.Failed + o.Failed, c.Discarding + o.Discarding, c.Held + o.Held,
	}
}

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
