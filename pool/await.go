package pool

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// await repeats f while it returns ErrNotReady, with growing pauses, and once more at a time,
// unless that is zero.
func await(ctx context.Context, patience time.Duration, at time.Time, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := 5 * time.Millisecond
	for {
		err := f(ctx)
		if err == nil || !errors.Is(err, compute.ErrNotReady) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(untilNext(pause, at)):
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// untilNext returns pause, or the time left until at if that is less.
func untilNext(pause time.Duration, at time.Time) time.Duration {
	if left := time.Until(at); left > 0 && left < pause {
		return left
	}
	return pause
}

// causeOf returns an error's text without its origin; "": nothing.
func causeOf(err error) string {
	var e *compute.Error
	for err != nil && errors.As(err, &e) {
		err = e.Err
	}
	if _, only := err.(*compute.Kind); err == nil || only {
		return ""
	}
	return compute.Said(err)
}
