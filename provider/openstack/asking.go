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

func newShared[T any](fetch func(context.Context) (T, error)) *shared[T] {
	return &shared[T]{fetch: fetch, turn: make(chan struct{}, 1)}
}

// fresh is what an asking said that began after the call, whoever asked.
func (s *shared[T]) fresh(ctx context.Context) (T, error) { return s.since(ctx, time.Now()) }

// recent is what an asking said that began no longer ago than age.
func (s *shared[T]) recent(ctx context.Context, age time.Duration) (T, error) {
	return s.since(ctx, time.Now().Add(-age))
}

func (s *shared[T]) since(ctx context.Context, then time.Time) (T, error) {
	var none T
	if v, err, ok := s.known(then); ok {
		return v, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if v, err, ok := s.known(then); ok {
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

func (s *shared[T]) known(then time.Time) (T, error, bool) { //nolint:revive // a value, its error, and whether there is one
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := !s.begun.IsZero() && !s.begun.Before(then)
	return s.last, s.err, ok
}

// drop forgets what is known.
func (s *shared[T]) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = time.Time{}
}
