package compute

import (
	"context"
	"time"
)

// Request asks for instances. All of them are given, or none.
type Request struct {
	Source  string // the source's name
	Count   int    // how many; 0 gives none
	Owner   string // the owner of the leases; required
	Project string // the owner's project; "": the default one
	Purpose string // for people to read; may be empty
	// a name for the lease, unique among those of its project that live; with Count 1 only; "":
	// none
	Name string

	// the lease ends so long after it was given or extended; 0: the source's TTL; negative: never
	TTL  time.Duration
	Idle time.Duration // the lease ends when unused for so long; 0: the source's; negative: never
	Wait time.Duration // the longest time in the queue; 0: none; negative: no limit
	// Priority orders the queue before all else: a higher number goes first. It is within
	// MinPriority and MaxPriority, and at most what the project allows.
	Priority int
	For      Process // ends with this process; zero: with none

	// What each instance must have at least. If the source shares its instances, it is what each
	// lease books of one. Zeros ask for nothing, except that a share then has one core. Negative
	// Cores book none.
	Cores        float64
	Memory, Disk int64 // bytes
	GPUs         int
	// MaxPrice is the most that an instance may cost for an hour, in the currency of the sources'
	// prices; 0: any. ErrInvalid: the source knows no prices.
	MaxPrice float64
	Labels   map[string]string // kept with the lease

	// Image, Flavor and Location say what each instance is made of, in place of what the source
	// says. Each is the name, the beginning of the name or the id of something that the provider
	// offers. Then all instances are newly made, and are discarded when they are released.
	// ErrInvalid: the provider offers no choice. ErrNotFound: it has none of that name.
	// ErrConflict: it has several.
	Image, Flavor, Location string
	// UserData is cloud-init user data for the first boot of each instance; empty: none. Then too
	// all instances are newly made and discarded after use. ErrInvalid: the provider takes none, or
	// none of that size. It is no secret: every user of the instance can read it.
	UserData []byte

	// Own says that the caller is the user who owns the source's configuration. Others are limited
	// in what they may choose (package policy). They must give full names where the owner may give
	// a beginning or a number.
	Own bool
	// Still is called when the configuration was read anew while the request waits. An error ends
	// the request. It must not block. It may be nil.
	Still func() error

	// take ready instances and make none; fewer than Count is no error
	CachedOnly bool
	New        bool // make all of them, and take no ready instance
	// Notify is called with the request's progress, by one goroutine at a time. It must not block.
	// It may be nil.
	Notify func(Progress)
}

// Capacity is what leases take, as far as it is known. The zero value is nothing. It counts under
// quotas and between projects.
type Capacity struct {
	Count  int     `json:"count,omitempty"`
	Cores  float64 `json:"cores,omitempty"`
	Memory int64   `json:"memory,omitempty"` // bytes
	// for an hour, in the currency of the sources' prices
	Cost float64 `json:"cost,omitempty"`
}

// Reservation is what a request will take of an instance that is being made for it. It counts
// until the lease exists.
type Reservation struct {
	Project string   `json:"project,omitempty"`
	Owner   string   `json:"owner,omitempty"`
	Holds   Capacity `json:"holds,omitzero"`
	// what it is made with beyond what its source's instances have anyway, in the engine's own
	// encoding
	Asks string `json:"asks,omitempty"`
}

// Add returns the sum.
func (c Capacity) Add(o Capacity) Capacity {
	return Capacity{c.Count + o.Count, c.Cores + o.Cores, c.Memory + o.Memory, c.Cost + o.Cost}
}

// Less returns the difference.
func (c Capacity) Less(o Capacity) Capacity {
	return Capacity{c.Count - o.Count, c.Cores - o.Cores, c.Memory - o.Memory, c.Cost - o.Cost}
}

// Process identifies a process on this machine. Start tells it from a later process with the same
// number. The zero value is no process.
type Process struct {
	PID   int
	Start uint64 // when it started, in the kernel's ticks since boot
	Host  string // the machine that it runs on, where several share the store; "": this one
}

// Progress says how far a request has come.
type Progress struct {
	Phase    string        // "wait", "create", "connect", "set-up", "clean", "check"
	Instance ID            // "" while waiting
	Position int           // in the queue, from 1, while waiting
	Estimate time.Duration // until it is served, while waiting; 0: not known
	Reason   string        // why it waits, for people; may be empty
	// while waiting: the place of a source that could serve it does not answer
	Unreachable bool
}

// Lease is the right to use an instance until it is released or runs out.
type Lease struct {
	ID       string            `json:"id"`
	Name     string            `json:"name,omitempty"`
	Instance ID                `json:"instance"`
	Source   string            `json:"source"`
	Owner    string            `json:"owner"`
	Project  string            `json:"project,omitempty"` // "": the default one
	Purpose  string            `json:"purpose,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	// the instance's generation when it was given. Only the newest is valid. Leases that share an
	// instance at one time have the same.
	Generation int64         `json:"generation"`
	Given      time.Time     `json:"given"`   // when
	Used       time.Time     `json:"used"`    // last use known
	TTL        time.Duration `json:"-"`       // as granted; 0: none
	Idle       time.Duration `json:"-"`       // as granted; 0: none
	Expires    time.Time     `json:"expires"` // by its ttl; zero: never
	Ending
	For Process `json:"-"` // ends with this process
	// the worker that has not told the user of it yet; it ends with that worker
	Worker int64 `json:"-"`
	// the pool's instance that holds it, where a pool does
	Pool ID `json:"pool,omitempty"`
	// the part of the instance that it books, with others beside it; nil: it has all of it
	Share *Resources `json:"share,omitempty"`
	// the record's key in the store; 0: not stored yet
	Row int64 `json:"-"`
	// what it counts under quotas and between projects
	Holds Capacity `json:"-"`
	// the number of the lease within its request, from 1. Insert tells it to the store; 0: the
	// store counts the leases of a transaction
	Nth int `json:"-"`
}

// Ending is when and why a lease ended.
type Ending struct {
	Ended time.Time `json:"ended,omitzero"` // zero: it lives
	// how, for people: "released", "expired", "idle", "its process ended", ...
	Why   string `json:"why,omitempty"`
	Cause Cause  `json:"-"` // CauseEnded or ""
}

// Handle is the name by which the user addresses what the lease gives. That is the instance's name
// or, for a part of a shared instance, the lease's own name or id.
func (l *Lease) Handle() string {
	switch {
	case l.Share == nil:
		return string(l.Instance)
	case l.Name != "":
		return l.Name
	}
	return l.ID
}

// Deadline is when the lease ends unless it is used or extended; zero: never.
func (l *Lease) Deadline() time.Time {
	d := l.Expires
	if l.Idle > 0 {
		if i := l.Used.Add(l.Idle); d.IsZero() || i.Before(d) {
			d = i
		}
	}
	return d
}

// A Leaser hands instances out and takes them back. The engine is one, and so is a client of a
// controller. All methods may be called at once from many goroutines.
type Leaser interface {
	// Acquire gives req.Count leases, sorted by instance, or none and an error. It waits for at
	// most req.Wait. Errors: ErrInvalid, ErrNotFound (the source), ErrNoCapacity, ErrTimeout (of
	// req.Wait), ErrUnavailable (the source is paused after failures), or the provider's own.
	Acquire(ctx context.Context, req Request) ([]Lease, error)
	// Release ends the leases of these instances and takes the instances back. If one name is
	// wrong, nothing changes: ErrNotFound, ErrNotLeased, ErrDenied. A lease of the owner's that has
	// ended already is success.
	Release(ctx context.Context, who Who, opt ReleaseOptions, names ...ID) error
	// Extend renews leases and counts them as used now. Their ttl starts again; if ttl is not 0, it
	// replaces theirs.
	Extend(ctx context.Context, who Who, ttl time.Duration, names ...ID) ([]Lease, error)
	// Use records that the instance is used now under the caller's lease, and returns the lease. It
	// is repeated while the instance is in use.
	Use(ctx context.Context, who Who, name ID) (Lease, error)
	// Connect opens a connection to an instance under the caller's lease. The caller closes it.
	// Errors are marked by Ended where the computer is known to have ended.
	Connect(ctx context.Context, who Who, name ID) (Conn, error)
}

// Who says on whose behalf something is done. The zero value is nobody in particular, with no
// rights of an admin.
type Who struct {
	Owner string // the user; may act on the leases of this owner
	Lease string // the id of a lease, such as a hook got as its token; "": none
	Admin bool   // may act on every lease
	// Within limits all that; nil: no limit.
	Within *Bounds
}

// Bounds limit what a caller may act on. Within them a lease's id gives no right to another owner's
// lease, and instances without a lease are out of reach. What is outside is reported as
// ErrNotFound.
type Bounds struct {
	Projects []string // leases of these projects alone; nil: of all
	Source   string   // of this source's instances alone; "": of all
}

// ReleaseOptions say how instances are given back. The zero value keeps those that the source wants
// to keep.
type ReleaseOptions struct {
	Force   bool // discard, whatever the reserve
	Discard bool // discard also instances without a lease: cached, failed, held, orphaned
	// Ended says, for people, why the computers have ended by themselves; "": they have not. They
	// are discarded, a pool's with those behind it, and the journal says so. Of a shared instance
	// only the part is given back.
	Ended string
}

// Event is one line of the journal.
type Event struct {
	ID   int64     `json:"id"`
	Time time.Time `json:"time"`
	// "creating", "ready", "leased", "released", "paused", "unreachable", ...
	Kind     string            `json:"kind"`
	Source   string            `json:"source,omitempty"`
	Instance ID                `json:"instance,omitempty"`
	Lease    string            `json:"lease,omitempty"`
	Owner    string            `json:"owner,omitempty"`
	Project  string            `json:"project,omitempty"`
	Text     string            `json:"text,omitempty"` // for people: the reason, what was checked
	Data     map[string]string `json:"data,omitempty"`
}
