package compute

import (
	"context"
	"time"
)

// Reserver is a provider whose place can keep computers standing ahead of need. Create takes one of
// them, so that the new instance is there sooner. They are no instances yet: List does not return
// them, and no lease counts them.
type Reserver interface {
	// Reserves returns how the source is configured to keep computers ahead. ok is false when it
	// keeps none. It does no I/O.
	Reserves() (a Ahead, ok bool)
	// Reserve keeps n computers standing from now on. With 0 those that stand there go too, unless
	// an instance needs them. It may be repeated, and then changes nothing. Computers of an older
	// definition of the source, in the same place, go.
	Reserve(ctx context.Context, n int) error
}

// Ahead is a Reserver's configuration.
type Ahead struct {
	Least int           // so many are always to stand there
	Lead  time.Duration // how long one takes until it stands there; 0: not known
	Place string        // a text that names the place: another text is another place
}

// AheadState tells of the computers that stand ahead of a source, for a director.
type AheadState struct {
	Ahead
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
