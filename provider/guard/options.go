package guard

import (
	"log/slog"
	"time"
)

// The operations, as Options.Timeout and Options.Observe name them.
const (
	Create  = "create"
	Destroy = "destroy"
	List    = "list"
	Connect = "connect"
	Clean   = "clean"
	Check   = "check"
)

// Options of a guard. The zero value limits nothing and tries once.
type Options struct {
	Source  string                   // the source's name, for errors and logs
	Creates int                      // at most so many Create at a time; 0: no limit
	Timeout map[string]time.Duration // of one try, by operation; "": of those not named; 0: none
	// further tries after ErrUnavailable (not ErrNotReady); 0: none
	Retries int
	// before the first further try, doubled each time up to 30 s; 0: 100 ms
	Pause time.Duration
	// at most so many calls a second on average, of all operations; 0: no limit
	Rate float64
	Log  *slog.Logger // nil: none

	// Observe is told of each call: how long it took, with waiting and all tries, and how it ended.
	// nil: nobody. It must not block.
	Observe func(op string, took time.Duration, err error)
}
