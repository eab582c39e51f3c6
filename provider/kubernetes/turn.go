package kubernetes

import "context"

// turn is a mutex for work that calls the API server. A goroutine that waits for it gives up when
// its context ends. newTurn makes one.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn. On an error, which is that of ctx, the caller does not have it.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try takes the turn if it is free, and reports whether it did.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// end gives up the turn, which the caller has.
func (t turn) end() { <-t }
