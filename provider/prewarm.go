package provider

import (
	"context"
	"time"
)

// Prewarmer is a provider whose place can keep computers standing ahead of need. Create takes
// one of them, so that the new instance is there sooner. They are no instances yet: List does
// not return them, and no lease counts them.
type Prewarmer interface {
	// Reserves returns how the source is configured to keep computers ahead. ok is false when it
	// keeps none. It does no I/O.
	Reserves() (a Prewarming, ok bool)
	// Reserve keeps n computers standing from now on. With 0 those that stand there go too, unless
	// an instance needs them. It may be repeated, and then changes nothing. Computers of an older
	// definition of the source, in the same place, go.
	Reserve(ctx context.Context, n int) error
}

// Prewarming is a Prewarmer's configuration.
type Prewarming struct {
	Least int           // so many are always to stand there
	Lead  time.Duration // how long one takes until it stands there; 0: not known
	Place string        // a text that names the place: another text is another place
}
