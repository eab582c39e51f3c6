package compute

import "time"

// SourceStatus is what a person wants to know of a source.
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
	// not configured any more, or otherwise than when these instances were made
	Orphaned  bool
	Broken    error     // why it cannot be used
	Paused    time.Time // nothing is made before
	LastError string    // of the last failure to create, or Unreached
	Failures  int
	// nil: something of what it makes now has become ready, or nothing has failed
	Unready  *Unready
	Waiting  int
	Children []string
	TTL      time.Duration // of leases that ask for none; 0: none
	// of leases that ask for no limit on how long they are unused; 0: the caller's default
	LeaseIdle time.Duration
	Image     string // "": the type's own
	Fixed     int    // computers that it has, where it makes none; 0: it makes them
}

// Unready says that nothing has become ready of what a source's instances are made of since it was
// changed.
type Unready struct {
	Since    time.Time // it was
	Changed  string    // ChangedKeys or ChangedTemplate; "": nothing was made before
	Failures int
	Why      string // the last one, or why none can be made
}

// What may have been changed of a source whose provider is Templated.
const (
	ChangedKeys     = "configuration"
	ChangedTemplate = "template"
)

// String says it for people.
func (u Unready) String() string {
	what := "nothing"
	if u.Changed != "" {
		what = "nothing by the changed " + u.Changed
	}
	return what + " has become ready since " + u.Since.Local().Format(time.DateTime) + ": " + u.Why
}

// Unreached begins the LastError of a source whose place does not answer now. Since when, and why,
// follow.
const Unreached = "it cannot be reached"

// TestResult is what `hostler source test` found.
type TestResult struct {
	Source   string
	Instance ID
	Leaf     ID // the real one, where Instance is a pool's; else the same
	Create   time.Duration
	Connect  time.Duration
	Run      time.Duration
	Destroy  time.Duration
}
