package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// lost is the error when no answer came to a request that was sent. It may have been served.
type lost struct{ error }

// Unwrap returns the reason.
func (l *lost) Unwrap() error { return l.error }

// pauses are the pauses before a request with a lost answer is repeated. A controller that restarts
// is back within them.
var pauses = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// repeat sends a request that makes something. If the answer is lost, it repeats the request with
// the same key, so nothing is made twice. A request that could not be sent is not repeated.
func (w *wire) repeat(ctx context.Context, ask func(key string) error) error {
	return w.repeatAs(ctx, rand.Text(), ask)
}

// repeatAs is repeat with a given key.
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

// unreached reports whether a request reached no controller.
func unreached(err error) bool {
	dial := (*net.OpError)(nil)
	return errors.Is(err, compute.ErrUnavailable) && errors.As(err, &dial)
}
