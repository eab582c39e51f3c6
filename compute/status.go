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
	Available   *int      // how many more may be in use; nil: no limit
	Orphaned    bool      // not configured any more, or otherwise than when these instances were made
	Broken      error     // why it cannot be used
	Paused      time.Time // nothing is made before
	LastError   string
	Failures    int
	Waiting     int
	Children    []string
	TTL         time.Duration // of leases that ask for none; 0: none
	LeaseIdle   time.Duration // of leases that ask for no limit on how long they are unused; 0: the caller's default
	Image       string        // "": the type's own
	Fixed       int           // computers that it has, where it makes none; 0: it makes them
}

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
