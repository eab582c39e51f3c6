package compute

import (
	"context"
	"time"
)

// Request asks for instances. All of them are given, or none.
type Request struct {
	Source  string // the source's name
	Count   int    // how many; 0 gives none
	Owner   string // whose the leases are; required
	Project string // of which project of his; "": the default one
	Purpose string // for people to read; may be empty
	// a name for the lease, unique among those of its project that live; with Count 1 only; "":
	// none
	Name string

	// ends that long after it was given or extended; 0: the source's; negative: none
	TTL  time.Duration
	Idle time.Duration // ends when unused for so long; 0: the source's; negative: never
	Wait time.Duration // at most so long in the queue; 0: not at all; negative: without limit
	// Priority orders the queue before all else: a higher number goes first, within MinPriority and
	// MaxPriority and what the project may have at most.
	Priority int
	For      Process // ends with this process; zero: with none

	// What each instance must have at the least or, of a source that shares its instances, what
	// each lease books of one. Zeros ask for nothing, but that a share has one core unless it says;
	// negative Cores are none.
	Cores        float64
	Memory, Disk int64 // bytes
	GPUs         int
	// each costs at most so much for an hour, in whatever money prices are in; 0: any. ErrInvalid:
	// nobody knows a price
	MaxPrice float64
	Labels   map[string]string // kept with the lease

	// What each instance is to be made of, where that is not as the source says: names, beginnings
	// of names or ids of what its provider has to choose from. Then all of them are made, and go
	// when they are given back. ErrInvalid: its provider lets nobody choose; ErrNotFound,
	// ErrConflict: it has none of that name, or several.
	Image, Flavor, Location string
	// UserData is what each instance is told at its first boot, in a form of cloud-init's; "":
	// nothing. Then too all of them are made, and go. ErrInvalid: its provider takes none, or none
	// of that size. It is no secret: whoever is on the instance can read it.
	UserData []byte

	// Own says that the asker is the user whose configuration the source stands in: what others may
	// choose is limited (package policy). What Own leaves to choose by a beginning or by a number
	// is to be named in full by others.
	Own bool
	// Still is asked when the configuration was read anew while the request waits: an error ends
	// it. nil: nothing has to be asked. It must not block.
	Still func() error

	// take what stands ready and make nothing; fewer than Count is no error
	CachedOnly bool
	New        bool // take nothing that stands ready: make all of them
	// called as it goes on, by one goroutine at a time; nil: not. It must not block
	Notify func(Progress)
}

// The priorities that requests may have. The ones between are the user's to give: nothing else is
// made of them.
const (
	MinPriority = -100
	MaxPriority = 100
	// PersonPriority is that of a command at a terminal, unless it says another: people go before
	// batch work, whose priority is 0.
	PersonPriority = 10
)

// Capacity is what leases take, as far as it is known.
type Capacity struct {
	Count  int     `json:"count,omitempty"`
	Cores  float64 `json:"cores,omitempty"`
	Memory int64   `json:"memory,omitempty"` // bytes
	// for an hour, in whatever money the sources' prices are in
	Cost float64 `json:"cost,omitempty"`
}

// Booking is what somebody takes who has no lease on it yet.
type Booking struct {
	Project string   `json:"project,omitempty"`
	Owner   string   `json:"owner,omitempty"`
	Holds   Capacity `json:"holds,omitzero"`
	// what it is made to have beyond what its source's instances have anyway, in the engine's own
	// words
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

// Queued is a request that waits, as people see it.
type Queued struct {
	Waiter
	Position int           // among those that wait for the same source, from 1
	Estimate time.Duration // until it is served; 0: not known
}

// Process names a process on this machine so that another one with its number later is not taken
// for it.
type Process struct {
	PID   int
	Start uint64 // when it started, in the kernel's ticks since boot
	Host  string // where it is, where that may be elsewhere: only there it can be seen; "": here
}

// Progress says how far a request has come.
type Progress struct {
	Phase    string        // "wait", "create", "connect", "set-up", "clean", "check"
	Instance ID            // "" while waiting
	Position int           // in the queue, from 1, while waiting
	Estimate time.Duration // until it is served, while waiting; 0: not known
	Reason   string        // why it waits, for people; may be empty
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
	// the instance's when it was given; only the newest is good. Shares that lie on it at a time
	// have the same
	Generation int64         `json:"generation"`
	Given      time.Time     `json:"given"`          // when
	Used       time.Time     `json:"used"`           // last use known
	TTL        time.Duration `json:"-"`              // as granted; 0: none
	Idle       time.Duration `json:"-"`              // as granted; 0: none
	Expires    time.Time     `json:"expires"`        // by its ttl; zero: never
	Ended      time.Time     `json:"ended,omitzero"` // zero: it lives
	// how it ended: "released", "expired", "idle", "its process ended", ...
	Why string  `json:"why,omitempty"`
	For Process `json:"-"` // ends with this process
	// not yet told to its user: ends with this worker
	Worker int64 `json:"-"`
	// the pool's instance that holds it, where a pool does
	Pool ID `json:"pool,omitempty"`
	// the part of the instance that it books, with others beside it; nil: it has all of it
	Share *Amount `json:"share,omitempty"`
	// the record's key in the store; 0: not stored yet
	Row int64 `json:"-"`
	// what it counts under quotas and between projects
	Holds Capacity `json:"-"`
	// of its request, from 1; told to the store when it is inserted; 0: the store counts those of a
	// transaction
	Nth int `json:"-"`
}

// Handle is what a user calls what the lease gives: the instance's name or, where it is a part of
// an instance beside others, the lease's own name or id.
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
	// Acquire gives req.Count leases, sorted by instance, or none and an error: ErrInvalid,
	// ErrNotFound (the source), ErrNoCapacity, ErrTimeout (of req.Wait), ErrUnavailable (the source
	// is paused after failures), or what the provider said.
	Acquire(ctx context.Context, req Request) ([]Lease, error)
	// Release takes back what the leases of these instances gave. Either all names are good or
	// nothing changes: ErrNotFound, ErrNotLeased, ErrDenied. A lease that the owner had and that
	// has ended is success.
	Release(ctx context.Context, who Who, opt ReleaseOptions, names ...ID) error
	// Extend renews leases: their ttl starts again, or anew with ttl if that is not 0, and they
	// count as used now.
	Extend(ctx context.Context, who Who, ttl time.Duration, names ...ID) ([]Lease, error)
	// Use says that the instance is used now under who's lease and returns it. Callers repeat it
	// while they use it.
	Use(ctx context.Context, who Who, name ID) (Lease, error)
	// Connect opens a way into an instance under who's lease. Errors are marked by Ended where its
	// computer is known to have ended.
	Connect(ctx context.Context, who Who, name ID) (Conn, error)
}

// Who says on whose behalf something is done.
type Who struct {
	Owner string // leases of this owner are his
	Lease string // the id of a lease, as a token that a hook was given; "": none
	Admin bool   // may act on anybody's
	// Within says how far all that reaches; nil: as far as there are leases.
	Within *Bounds
}

// Bounds are what somebody may act on who may not act on everything. Within them a lease's id lets
// nobody in whose lease it is not, and what is under no lease is not touched. What is outside is
// ErrNotFound.
type Bounds struct {
	Projects []string // leases of these projects alone; nil: of all
	Source   string   // of this source's instances alone; "": of all
}

// ReleaseOptions say how to give back.
type ReleaseOptions struct {
	Force   bool // discard, whatever the reserve
	Discard bool // discard also what is not leased: cached, failed, held and orphaned instances
	// Ended says why the computers have ended by themselves, for people: then they are discarded, a
	// pool's with those behind it, and the journal says so. Where others have parts of one, the
	// part alone is given back. "": they have not.
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
