package guard

import (
	"log/slog"
	"time"
)

// The names of the operations in Options.Timeout and Options.Observe.
const (
	Create  = "create"
	Destroy = "destroy"
	List    = "list"
	Connect = "connect"
	Clean   = "clean"
	Check   = "check"
)

// Options are the limits of a guard. The zero value limits nothing and tries once.
type Options struct {
	Source  string                   // the source's name, for errors and logs
	Creates int                      // the most Create calls at a time
	Timeout map[string]time.Duration // for one try, by operation; "": of those not named
	// how often a call is repeated after ErrUnavailable (but not ErrNotReady)
	Retries int
	// the pause before the first repetition, doubled each time up to 30 s; 0: 100 ms
	Pause time.Duration
	// the most calls a second, on average and of all operations
	Rate float64
	Log  *slog.Logger // nil: none

	// Observe is told of each call: how long it took with all waits and tries, and its error. It
	// must not block.
	Observe func(op string, took time.Duration, err error)
}
