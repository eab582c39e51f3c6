package provider

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Prewarm keeps computers standing ahead of need, at the provider's place. Create takes one of
// them, so that the new instance is there sooner. They are no instances yet: List does not return
// them, and no lease counts them. A provider has both methods or none.
type Prewarm struct {
	// Reserves returns how the source is configured to keep computers ahead. ok is false when it
	// keeps none. It does no I/O.
	Reserves func() (c Prewarming, ok bool)
	// Reserve keeps n computers standing from now on. With 0 those that stand there go too, unless
	// an instance needs them. It may be repeated, and then changes nothing. Computers of an older
	// definition of the source, in the same place, go.
	Reserve func(ctx context.Context, n int) error
}

// Prewarming is a source's configuration of that.
type Prewarming struct {
	Least int           // so many are always to stand there
	Lead  time.Duration // how long one takes until it stands there; 0: not known
	Place string        // a text that names the place: another text is another place
}

func prewarmOf(p compute.Provider) Prewarm {
	v, ok := As[interface {
		Reserves() (Prewarming, bool)
		Reserve(context.Context, int) error
	}](p)
	if !ok {
		return Prewarm{}
	}
	return Prewarm{v.Reserves, v.Reserve}
}
