// Package group lets callers that meet share one transaction of a store (group commit). A commit
// costs a disk sync or a round trip; that is paid once for all of them.
package group

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/hostler-project/hostler/store"
)

// limit is how many calls may share a transaction.
const limit = 256

// errGone is for functions that ended their goroutine, or panicked.
var errGone = errors.New("the function did not return")

// Call is one call of Do on its way through a batch. Until it is answered it is the leader's alone.
type Call struct {
	Err   error // the call's outcome, for commit to set
	Begun bool  // for commit: its context is not looked at any more

	ctx   context.Context
	fn    func(store.Tx) error
	turn  chan struct{} // of one: it is its turn to lead
	done  chan struct{} // closed when it is answered
	panic any           // what fn panicked with
	gone  bool
}

// Context is the caller's.
func (c *Call) Context() context.Context { return c.ctx }

// Run runs the function and stores its error in Err. A panic is kept for its own caller.
func (c *Call) Run(t store.Tx) {
	c.gone = true
	defer func() {
		if c.gone {
			c.panic = recover()
			c.Err = errGone
		}
	}()
	c.Err = c.fn(t)
	c.gone = false
}

// Panicked reports whether the function has run and panicked: its caller never learns its result.
func (c *Call) Panicked() bool { return c.panic != nil }

// answer is the outcome at its caller's.
func (c *Call) answer() error {
	<-c.done
	if c.panic != nil {
		panic(c.panic)
	}
	return c.Err
}

// Queue is where the callers of a store meet. Its methods may be called at the same time.
type Queue struct {
	writer  sync.Locker
	commit  func([]*Call)
	abandon func()

	mu    sync.Mutex
	calls []*Call
	led   bool // a caller leads, or is about to
	crowd int  // so many callers there were at the end of the last batch
}

// New returns a queue. commit runs a batch of calls, in their order, in a transaction, and stores
// each result in its call. If a function ended the goroutine in the midst of commit, abandon rolls
// back. Both are called with the writer held, and by one goroutine at a time.
func New(writer sync.Locker, commit func([]*Call), abandon func()) *Queue {
	return &Queue{writer: writer, commit: commit, abandon: abandon}
}

// Do runs fn in a batch, and returns the result of fn or of the commit. The first caller leads: it
// runs the functions of all waiting callers, commits once and hands the lead on. A panic goes on in
// its own caller's goroutine. When ctx ends before its turn, fn is not run.
func (q *Queue) Do(ctx context.Context, fn func(store.Tx) error) error {
	c := &Call{ctx: ctx, fn: fn, turn: make(chan struct{}, 1), done: make(chan struct{})}
	q.mu.Lock()
	q.calls = append(q.calls, c)
	first := !q.led
	q.led = true
	q.mu.Unlock()
	if !first {
		select {
		case <-c.done:
			return c.answer()
		case <-c.turn:
		case <-ctx.Done():
			if q.withdraw(c) {
				return ctx.Err()
			}
			select {
			case <-c.done:
				return c.answer()
			case <-c.turn:
			}
		}
	}
	q.lead()
	return c.answer()
}

// lead commits a batch, of which the caller's is the first, and hands the lead on.
func (q *Queue) lead() {
	q.writer.Lock()
	q.gather()
	q.mu.Lock()
	n := min(len(q.calls), limit)
	calls := slices.Clone(q.calls[:n])
	q.calls = q.calls[n:]
	q.mu.Unlock()
	whole := false
	defer func() {
		if !whole { // a function ended this goroutine
			q.abandon()
			for _, c := range calls {
				c.Err = errGone
				close(c.done)
			}
		}
		q.writer.Unlock()
		q.mu.Lock()
		q.handOn()
		q.mu.Unlock()
	}()
	q.commit(calls)
	q.mu.Lock()
	q.crowd = len(calls) + len(q.calls)
	q.mu.Unlock()
	whole = true
	for _, c := range calls {
		close(c.done)
	}
}

// gather waits for callers that are about to come: the more there are in a batch, the less each
// pays for the commit. Callers of the last batch were answered a moment ago and are likely to ask
// again. They are waited for only while there is other work for this processor.
func (q *Queue) gather() {
	for range rounds {
		q.mu.Lock()
		n := len(q.calls)
		q.mu.Unlock()
		if n >= limit || n >= q.crowd {
			break
		}
		runtime.Gosched()
	}
}

// rounds is how often gather yields at most: on an idle machine some microseconds, on a busy one a
// share of time for each of its callers.
const rounds = 256

// handOn gives the lead to the next waiting call. The caller holds mu.
func (q *Queue) handOn() {
	if len(q.calls) == 0 {
		q.calls, q.led = nil, false
		return
	}
	q.calls[0].turn <- struct{}{}
}

// withdraw removes a call whose turn has not come, and reports whether it did.
func (q *Queue) withdraw(c *Call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.calls, c)
	if i < 0 {
		return false
	}
	q.calls = slices.Delete(q.calls, i, i+1)
	select {
	case <-c.turn: // it was to lead
		q.handOn()
	default:
	}
	return true
}
