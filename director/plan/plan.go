package plan

import (
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/provider"
)

// Snapshot is what a director looks at: copies of the sources as they stand at one moment.
type Snapshot struct {
	Time    time.Time
	Sources []SourceState // the configured ones, by name
	Left    []Left        // computers that stand ahead and are to go
}

// SourceState is a source as the director needs to know it. Zero values mean none or unknown,
// unless a field says otherwise.
type SourceState struct {
	Name   string
	Type   string
	Counts inventory.Counts
	// how many places under the maximum are taken, instances of older definitions included
	Present int
	Booked  int // of those being made, how many belong to a request
	Cold    int // of Counts.Ready, how many are stopped
	// how many instances the requests in the queue ask for that one made ahead would do for
	Waiting int
	// how many others they ask for, as far as known; these are made for them when their turn comes
	Asked int

	Reserve int // as configured
	Spare   int // as configured
	Maximum int // effective; 0: no limit
	// how many may be kept stopped; 0 where the provider cannot stop and start
	ColdMost int
	Idle     time.Duration    // a surplus instance stays for so long
	Target   inventory.Target // as it stands
	// ready and running instances that have been idle for Idle or longer; set with Idlers
	Tired int
	// the ready instances, cold ones too, the longest idle first. It is empty where there cannot be
	// too many.
	Idlers []Idler
	Demand Demand
	Ahead  *AheadState // nil: its provider keeps no computers standing ahead
	inventory.Health
}

// Idler is a ready instance.
type Idler struct {
	ID    compute.ID
	Since time.Time // when it became ready
	Cold  bool      // it is stopped
}

// Demand is what is known of a source's recent leases, and of how long it takes to make an
// instance.
type Demand struct {
	Given  int           // leases given within Window
	Window time.Duration // how far back is looked
	Late   int           // of Given, those within the last tenth of Window
	// the variance over the mean of the number of leases given in a sixtieth of Window; 1 for a
	// Poisson process; 0: too few to tell
	Spread float64
	// the mean time of a lease, until the instance could be used again; 0: not known, or it is not
	// used again
	Held time.Duration
	Made time.Duration // the mean time to make an instance; 0: not known
}

// Verb is what a directive does.
type Verb string

// The verbs of directives.
const (
	VerbCreate  Verb = "create"  // Count instances for the cache
	VerbStart   Verb = "start"   // a cold instance
	VerbStop    Verb = "stop"    // a ready instance, which then is cold
	VerbDiscard Verb = "discard" // a ready instance
	VerbTarget  Verb = "aim"     // set what the source keeps from now on
	// Count computers are to stand at the provider's place ahead of need
	VerbAhead Verb = "ahead"
)

// Directive is one thing that the director wants done, and why. Which fields count depends on Verb.
type Directive struct {
	Verb     Verb
	Source   string
	Instance compute.ID // of start, stop and discard
	Count    int        // of create and ahead
	// of ahead: the key of the record of a definition that is not in force any more; 0: the source
	// as it is configured
	Key int64
	// of create: stop at so many instances, cached (cold ones left out) and in use together
	Total int
	// of discard and stop: act only while more than so many are ready, cold ones too, or in use
	Least  int
	Target inventory.Target // of VerbTarget
	Again  bool             // of VerbTarget and VerbAhead: it is so already, and is only repeated
	Reason string           // for people, a phrase
}

// AheadState tells of the computers that stand ahead of a source, for a director.
type AheadState struct {
	provider.Prewarming
	Count  int       // the number that was reserved last
	Said   time.Time // when this process last called Reserve; zero: never
	Busy   bool      // Reserve is running
	Failed bool      // the last Reserve failed
}

// Left tells of computers that stand ahead of a source's definition that is not in force any more.
type Left struct {
	Key    int64 // of the source's record
	Source string
}
