package inventory

import (
	"time"

	"github.com/hostler-project/hostler/compute"
)

// SourceStatus is what `hostler status` shows of a source. Zero values mean unknown or none, unless
// a field says otherwise.
type SourceStatus struct {
	Name, Type  string
	Counts      Counts
	Cold        int // of Counts.Ready, how many are stopped
	Maximum     int // effective; 0: no limit
	Reserve     int
	Spare       int
	Wanted      int
	Concurrency int
	Available   *int // how many more may be in use; nil: no limit
	// not configured any more, or configured otherwise than when these instances were made
	Orphaned bool
	Health
	Waiting  int
	Children []string
	TTL      time.Duration // of leases that ask for no TTL; 0: none
	// of leases that ask for no idle limit; 0: the caller's default
	LeaseIdle time.Duration
	Image     string // "": the type's own
	Fixed     int    // how many computers it has, if it makes none; 0: it makes them
}

// Health is why nothing can be had of a source, or may not be. The zero value is that all is well.
type Health struct {
	Broken  error // why it cannot be used
	Backoff       // LastError says since when, too, where its place does not answer
	// since when its place does not answer; zero: it does
	Unreachable time.Time
	// nil: an instance as they are made now has become ready, or nothing has failed
	Unready *Unready
}

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

// Unready says that no instance of a source has become ready since what they are made of was
// changed.
type Unready struct {
	Since    time.Time // when it was changed
	Changed  string    // ChangedKeys or ChangedTemplate; "": nothing was made before
	Failures int
	Why      string // the last one, or why none can be made
}

// The values of Unready.Changed, for a source whose provider has a template.
const (
	ChangedKeys     = "configuration"
	ChangedTemplate = "template"
)

// String returns a sentence for people.
func (u Unready) String() string {
	what := "nothing"
	if u.Changed != "" {
		what = "nothing by the changed " + u.Changed
	}
	return what + " has become ready since " + u.Since.Local().Format(time.DateTime) + ": " + u.Why
}

// TestResult is what `hostler source test` found.
type TestResult struct {
	Source   string
	Instance compute.ID
	Leaf     compute.ID // the one that does the work, where Instance is a pool's; else the same
	Create   time.Duration
	Connect  time.Duration
	Run      time.Duration
	Destroy  time.Duration
}
