package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// lost is why an answer did not come to a request that was sent: it may have been served.
type lost struct{ error }

// Unwrap gives the reason itself.
func (l *lost) Unwrap() error { return l.error }

// pauses are those before a request whose answer was lost is made again. A controller that was
// killed is there again by then, or is not for long.
var pauses = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// repeat makes a request that makes something, and makes it again with the same key where the
// answer was lost: then the answer is the first one's, or nothing was made. One that could not be
// sent at all is not repeated.
func (w *wire) repeat(ctx context.Context, ask func(key string) error) error {
	return w.repeatAs(ctx, rand.Text(), ask)
}

// repeatAs is repeat with a key that is given.
func (w *wire) repeatAs(ctx context.Context, key string, ask func(key string) error) error {
	err := ask(key)
	if !errors.As(err, new(*lost)) {
		return err
	}
	for _, pause := range pauses {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		if err = ask(key); !errors.As(err, new(*lost)) && !unreached(err) {
			return err
		}
	}
	return err
}

// unreached reports whether a request did not come to any controller.
func unreached(err error) bool {
	dial := (*net.OpError)(nil)
	return errors.Is(err, compute.ErrUnavailable) && errors.As(err, &dial)
}
