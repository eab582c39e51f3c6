package postgres

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// batch is how many calls may share a transaction.
const batch = 256

// op is one call of Update on its way through a batch.
type op struct {
	ctx  context.Context
	fn   func(compute.Tx) error
	turn chan struct{} // of one: it is its turn to lead
	done chan struct{} // closed when it is answered

	// The leader's until done is closed.
	begun bool // its context is not looked at any more
	err   error
	panic any // what fn panicked with
	gone  bool
}

// run runs the function. A panic is kept for its own caller.
func (o *op) run(t *tx) {
	o.gone = true
	defer func() {
		if o.gone {
			o.panic = recover()
			o.err = errGone
		}
	}()
	o.err = o.fn(t)
	o.gone = false
}

// errGone is for functions that ended their goroutine, or panicked.
var errGone = errors.New("the function did not return")

// answer is the outcome at its caller's.
func (o *op) answer() error {
	<-o.done
	if o.panic != nil {
		panic(o.panic)
	}
	return o.err
}

// Update runs fn in a transaction that is alone, whatever processes there are, and that is on the server's disk when Update returns. Callers that meet
// share one: the first to come leads, runs the functions of all who wait, commits once and hands the lead on. A function that fails or panics takes
// nothing of the others' with it; a panic goes on in its own caller's goroutine. fn may run several times, and on another goroutine, and what it sees
// may turn out to be old: then it is run again, whatever it returned. It must not call Update; View shows it the state before. When ctx ends before
// its turn, fn is not run; once its turn has come ctx is not looked at any more. An error other than fn's own means that nothing was changed, but for
// the rare one that says that it is not known: the server did not come back to tell.
func (s *Store) Update(ctx context.Context, fn func(compute.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{ctx: ctx, fn: fn, turn: make(chan struct{}, 1), done: make(chan struct{})}
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return errClosed
	}
	s.queue = append(s.queue, o)
	first := !s.led
	s.led = true
	s.mu.Unlock()
	if !first {
		select {
		case <-o.done:
			return o.answer()
		case <-o.turn:
		case <-ctx.Done():
			if s.withdraw(o) {
				return ctx.Err()
			}
			select {
			case <-o.done:
				return o.answer()
			case <-o.turn:
			}
		}
	}
	s.lead()
	return o.answer()
}

// lead commits a batch, of which the caller's is the first, and hands the lead on.
func (s *Store) lead() {
	s.wmu.Lock()
	s.gather()
	s.mu.Lock()
	n := min(len(s.queue), batch)
	ops := slices.Clone(s.queue[:n])
	s.queue = s.queue[n:]
	s.mu.Unlock()
	whole := false
	defer func() {
		if !whole { // a function ended this goroutine
			s.abandon()
			for _, o := range ops {
				o.err = errGone
				close(o.done)
			}
		}
		s.wmu.Unlock()
		s.mu.Lock()
		s.handOn()
		s.mu.Unlock()
	}()
	s.commit(ops)
	s.mu.Lock()
	s.crowd = len(ops) + len(s.queue)
	s.mu.Unlock()
	whole = true
	for _, o := range ops {
		close(o.done)
	}
}

// gather lets those come who are about to: the more there are in a batch, the less each pays for the sync. Those of the last batch were answered a
// moment ago and are likely to ask again; they are waited for only as long as there is other work for this processor.
func (s *Store) gather() {
	for range rounds {
		s.mu.Lock()
		n := len(s.queue)
		s.mu.Unlock()
		if n >= batch || n >= s.crowd {
			break
		}
		runtime.Gosched()
	}
}

// rounds is how often gather yields at most: on an idle machine some microseconds, on a busy one a share of time for each of its callers.
const rounds = 256

// handOn gives the lead to the next who waits. The caller holds mu.
func (s *Store) handOn() {
	if len(s.queue) == 0 {
		s.queue, s.led = nil, false
		return
	}
	s.queue[0].turn <- struct{}{}
}

// withdraw takes back a call whose turn has not come.
func (s *Store) withdraw(o *op) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, o)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	select {
	case <-o.turn: // it was to lead
		s.handOn()
	default:
	}
	return true
}
