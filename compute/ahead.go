package compute

import (
	"context"
	"time"
)

// Reserver is a provider whose place can keep computers standing, of which Create takes one, so
// that it is sooner there. They stand ahead of the instances and are nobody's: List does not tell
// of them, and no lease counts them.
type Reserver interface {
	// Reserves tells how it is configured for that. ok is false when the source has none of them.
	// It does no I/O.
	Reserves() (a Ahead, ok bool)
	// Reserve has n of them there from now on; 0: none, and what is there for them goes too, unless
	// an instance needs it. It may be repeated, and changes nothing where all is so. What stands
	// there of another definition of the source, in the same place, goes.
	Reserve(ctx context.Context, n int) error
}

// Ahead is what a Reserver tells.
type Ahead struct {
	Least int           // so many are to stand there always
	Lead  time.Duration // how long one takes until it stands there; 0: not known
	Place string        // where that is, in any words: other words are another place
}

// AheadState is what stands ahead of a source, as a director needs to know it.
type AheadState struct {
	Ahead
	Count  int       // so many, as it was said last
	Said   time.Time // when this process said it last; zero: it has not
	Busy   bool      // it is being said
	Failed bool      // that failed
}

// Left is what stands ahead of a source whose definition is not in force any more.
type Left struct {
	Key    int64 // of the source's record
	Source string
}
