package inventory

import "time"

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

// Queued is a request that waits, as users see it.
type Queued struct {
	Waiter
	Position int           // among those that wait for the same source, from 1
	Estimate time.Duration // until it is served; 0: not known
}

// The range of priorities of requests. The engine gives the numbers between no other meaning.
const (
	MinPriority = -100
	MaxPriority = 100
	// PersonPriority is that of a command at a terminal, unless it says another: people go before
	// batch work, whose priority is 0.
	PersonPriority = 10
)
