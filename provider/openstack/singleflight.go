package openstack

import (
	"context"
	"errors"
	"sync"
	"time"
)

// singleflight is a value that is fetched at most once at a time, however many goroutines want it.
type singleflight[T any] struct {
	fetch func(context.Context) (T, error)
	turn  chan struct{} // one slot: its holder fetches

	mu    sync.Mutex
	begun time.Time // when the last fetch began; zero: never
	last  T
	err   error
}

// newSingleflight returns a shared value that fetch reads.
func newSingleflight[T any](fetch func(context.Context) (T, error)) *singleflight[T] {
	listed := func(ctx context.Context) (T, error) {
		v, err := fetch(ctx)
		return v, astray(err)
	}
	return &singleflight[T]{fetch: listed, turn: make(chan struct{}, 1)}
}

// keptError is how long an error is reused at most, whatever age the caller accepts. Trouble
// passes, and later callers must see that.
const keptError = time.Second

// fresh returns the result of a fetch that began after the call, in whichever goroutine.
func (s *singleflight[T]) fresh(ctx context.Context) (T, error) { return s.since(ctx, time.Now()) }

// recent returns the result of a fetch that began no longer than age ago. An error is never older
// than keptError.
func (s *singleflight[T]) recent(ctx context.Context, age time.Duration) (T, error) {
	return s.since(ctx, time.Now().Add(-age))
}

// since returns the result of a fetch that began at then or later. One goroutine fetches for all
// that wait.
func (s *singleflight[T]) since(ctx context.Context, then time.Time) (T, error) {
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
	if ours := ctx.Err(); err != nil && ours != nil { // our own end says nothing to the others
		<-s.turn
		return none, errors.Join(ours, err)
	}
	s.mu.Lock()
	s.begun, s.last, s.err = begun, v, err
	s.mu.Unlock()
	<-s.turn
	return v, err
}

// known returns the last result if its fetch began no earlier than then, or for an error, no
// earlier than trouble.
func (s *singleflight[T]) known(then, trouble time.Time) (T, error, bool) { //nolint:revive // a value, its error, and whether there is one
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		then = trouble
	}
	ok := !s.begun.IsZero() && !s.begun.Before(then)
	return s.last, s.err, ok
}

// drop forgets the last result.
func (s *singleflight[T]) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = time.Time{}
}
