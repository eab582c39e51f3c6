package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// lostAnswer is the error when no answer came to a request that was sent. It may have been served.
type lostAnswer struct{ error }

// Unwrap returns the reason.
func (l *lostAnswer) Unwrap() error { return l.error }

// pauses are the pauses before a request with a lost answer is repeated. A controller that restarts
// is back within them.
var pauses = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// retry sends a request that makes something. If the answer is lost, it repeats the request with
// the same key, so nothing is made twice. A request that could not be sent is not repeated.
func (w *wire) retry(ctx context.Context, ask func(key string) error) error {
	return w.retryAs(ctx, rand.Text(), ask)
}

// retryAs is retry with a given key.
func (w *wire) retryAs(ctx context.Context, key string, ask func(key string) error) error {
	err := ask(key)
	if !errors.As(err, new(*lostAnswer)) {
		return err
	}
	for _, pause := range pauses {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		if err = ask(key); !errors.As(err, new(*lostAnswer)) && !unreached(err) {
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
