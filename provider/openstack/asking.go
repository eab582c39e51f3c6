package openstack

import (
	"context"
	"errors"
	"sync"
	"time"
)

// shared is something that is asked for at most once at a time, however many want to know it.
type shared[T any] struct {
	fetch func(context.Context) (T, error)
	turn  chan struct{} // one slot: who has it asks

	mu    sync.Mutex
	begun time.Time // when the last asking began; zero: never
	last  T
	err   error
}

// newShared has fetch ask, which lists something.
func newShared[T any](fetch func(context.Context) (T, error)) *shared[T] {
	listed := func(ctx context.Context) (T, error) {
		v, err := fetch(ctx)
		return v, astray(err)
	}
	return &shared[T]{fetch: listed, turn: make(chan struct{}, 1)}
}

// keptError is how long at most an error of an asking counts, whatever age its caller would take:
// trouble passes, and who comes later is to see that.
const keptError = time.Second

// fresh is what an asking said that began after the call, whoever asked.
func (s *shared[T]) fresh(ctx context.Context) (T, error) { return s.since(ctx, time.Now()) }

// recent is what an asking said that began no longer ago than age; an error is never older than
// keptError.
func (s *shared[T]) recent(ctx context.Context, age time.Duration) (T, error) {
	return s.since(ctx, time.Now().Add(-age))
}

func (s *shared[T]) since(ctx context.Context, then time.Time) (T, error) {
	var none T
	trouble := time.Now().Add(-keptError)
	if then.After(trouble) {
		trouble = then
	}
	if v, err, ok := s.known(then, trouble); ok {
		return v, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if v, err, ok := s.known(then, trouble); ok {
		<-s.turn
		return v, err
	}
	begun := time.Now()
	v, err := s.fetch(ctx)
	if ours := ctx.Err(); err != nil && ours != nil { // that says nothing to the others
		<-s.turn
		return none, errors.Join(ours, err)
	}
	s.mu.Lock()
	s.begun, s.last, s.err = begun, v, err
	s.mu.Unlock()
	<-s.turn
	return v, err
}

// known is what there is that was asked for no earlier than then, or, if it is an error, than
// trouble.
func (s *shared[T]) known(then, trouble time.Time) (T, error, bool) { //nolint:revive // a value, its error, and whether there is one
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		then = trouble
	}
	ok := !s.begun.IsZero() && !s.begun.Before(then)
	return s.last, s.err, ok
}

// drop forgets what is known.
func (s *shared[T]) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = time.Time{}
}
