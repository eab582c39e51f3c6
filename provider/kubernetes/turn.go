package kubernetes

import "context"

// turn is had by one at a time, as a mutex is, for what asks the API server meanwhile: who waits
// for it waits no longer than his context. It is made by newTurn.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn; the error is ctx's, and then it is not had.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try takes the turn if nobody has it.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// end gives the turn, which the caller has, to the next.
func (t turn) end() { <-t }
