package inventory

import (
	"time"

	"github.com/hostler-project/hostler/compute"
)

// InstanceQuery selects instances; zero fields select all.
type InstanceQuery struct {
	SourceKey int64
	Source    string // of the source of this name, whatever its definition
	Owner     string // under a living lease of this owner's
	States    []compute.State
	Child     compute.ID // the pool's instance in front of this one
	// only those that are being worked on, or wait for it: Creating, SettingUp, Cleaning,
	// Discarding
	Busy  bool
	After int64 // rows after this one
	Limit int   // at most; 0: all
}

// LeaseQuery selects leases, oldest first; zero fields select all that live.
type LeaseQuery struct {
	Instance  compute.ID
	Instances []compute.ID // only those of these instances; nil: of all
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
	Instance compute.ID
	Source   string
	Lease    string
	Projects []string // only of these; nil: of all
	// with Projects: also events of no project, such as that an instance was made ahead of need
	Common bool
	Newest int // only so many of the newest
	Limit  int // at most, the oldest of them; 0: all
}

// RequestLabel is the label of leases that were given to a request with a key. Its value has three
// parts with blanks between: the request's mark, which is its owner's and its key's; the digest of
// what it asked for; the key, escaped as in a URL's query.
const RequestLabel = "hostler.request"
