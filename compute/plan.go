package compute

import (
	"context"
	"time"
)

// Aim is what the director wants of a source for some time, in place of the reserve and the spare
// ones that are configured. It is kept with the source, so that all processes on one store keep at
// release what the director wants kept.
type Aim struct {
	Reserve int       `json:"reserve"`
	Spare   int       `json:"spare"`
	Until   time.Time `json:"until"` // it counts until then; zero: there is none
}

// Snapshot is what a director looks at: the sources as they stand at one moment, copied.
type Snapshot struct {
	Time    time.Time
	Sources []SourceState // those that are configured, by name
	Left    []Left        // what stands ahead, and is to go
}

// SourceState is a source as the director needs to know it.
type SourceState struct {
	Name   string
	Type   string
	Broken error // why it cannot be used; nil
	Counts Counts
	// what takes a place under the maximum, with what older definitions of the source still have
	Present int
	Booked  int // of those being made, how many a request waits for: they are as good as in use
	Cold    int // of Counts.Ready, how many are stopped
	// how many instances the requests in the queue ask for that one that is made ahead would do for
	Waiting int
	// and how many others, which are made for them when their turn comes, as far as can be told
	Asked int

	Reserve int // as configured
	Spare   int // as configured
	Maximum int // effective; 0: no limit
	// so many may be kept stopped, where the provider can stop and start; else 0
	ColdMost int
	Idle     time.Duration // a surplus instance stays for so long
	Aim      Aim           // as it stands
	// ready and running instances that have stood idle for Idle or longer; told with Idlers
	Tired int
	// the ready instances that stand idle the longest, these first, and the cold ones; left out
	// where none can be too many
	Idlers []Idler
	Demand Demand
	Ahead  *AheadState // nil: its provider has nothing stand ahead of it

	Paused    time.Time // nothing is made before
	Failures  int       // to create, in a row
	LastError string    // of these
	Unready   *Unready  // as of SourceStatus
}

// Idler is a ready instance.
type Idler struct {
	ID    ID
	Since time.Time // when it became ready
	Cold  bool      // it is stopped
}

// Demand is what is known of the leases of a source that were given lately, and of how long it
// takes to make an instance.
type Demand struct {
	Given  int           // leases given within Window
	Window time.Duration // how far back is looked
	Late   int           // of Given, those within the last tenth of it
	// of the leases given in a sixtieth of Window, the variance over the mean; 1 for a Poisson
	// process; 0: too few to tell
	Spread float64
	// how long a lease lasted, in the mean, until the instance could be used again; 0: not known,
	// or it is not used again
	Held time.Duration
	Made time.Duration // how long it took to make an instance, in the mean; 0: not known
}

// Verb is what a directive does.
type Verb string

// The verbs of directives.
const (
	VerbCreate  Verb = "create"  // Count instances for the cache
	VerbStart   Verb = "start"   // a cold instance
	VerbStop    Verb = "stop"    // a ready instance, which then is cold
	VerbDiscard Verb = "discard" // a ready instance
	VerbAim     Verb = "aim"     // what the source is to keep from now on
	// Count computers stand at the provider's place ahead of need, and are nobody's
	VerbAhead Verb = "ahead"
)

// Directive is one thing that the director wants done, and why.
type Directive struct {
	Verb     Verb
	Source   string
	Instance ID  // of start, stop and discard
	Count    int // of create and ahead
	// of ahead: the record of a definition that is not in force any more; 0: the source as it is
	// configured
	Key int64
	// of create: no more than brings the source to so many, cached (cold ones left out) and in use
	// together
	Total int
	// of discard and stop: only while more than so many are ready, cold ones too, or in use
	Least  int
	Aim    Aim    // of aim
	Again  bool   // of aim and ahead: it is so already, and is but said again
	Reason string // for people, a phrase
}

// Stopper is a provider whose computers can be stopped, and started again with what they have on
// their disks.
type Stopper interface {
	// Stop shuts a computer down; it has so long to do that itself. One that is stopped already is
	// no error.
	Stop(ctx context.Context, id ID, grace time.Duration) error
	// Start starts it again; Connect says ErrNotReady until it has booted. One that runs is no
	// error.
	Start(ctx context.Context, id ID) error
}

// Resizer is a provider whose computers can be given other hardware, with what they have on their
// disks.
type Resizer interface {
	// Resize gives a computer another flavor, by its id or name, and comes back when it has it: it
	// is started anew where it ran. One that has it already is no error; ErrNoCapacity: there is no
	// room for it, and it is as it was.
	Resize(ctx context.Context, id ID, flavor string) error
}
