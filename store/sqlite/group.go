package sqlite

import (
	"context"
	"errors"
	"runtime"

	"github.com/hostler-project/hostler/compute"
)

// batch is how many calls may share a transaction.
const batch = 256

// op is one call of Update on its way through a batch.
type op struct {
	ctx  context.Context
	fn   func(compute.Tx) error
	done chan error    // its outcome
	lead chan struct{} // it is its turn to lead
}

// Update runs fn in a transaction that no other process's overlaps and that is on the disk when Update returns. Callers that meet share one:
// the first to come leads, runs the functions of all who wait, commits once and hands the lead on. A function that fails takes nothing of the
// others' with it. fn may run twice. Once its turn has come ctx is not looked at any more.
func (s *Store) Update(ctx context.Context, fn func(compute.Tx) error) error {
	o := &op{ctx: ctx, fn: fn, done: make(chan error, 1), lead: make(chan struct{}, 1)}
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return errClosed
	}
	s.queue = append(s.queue, o)
	first := !s.lead
	s.lead = true
	s.mu.Unlock()
	if !first {
		select {
		case err := <-o.done:
			return err
		case <-o.lead:
		}
		runtime.Gosched() // those just answered may come again: a larger batch for the same sync
	}
	s.mu.Lock()
	n := min(len(s.queue), batch)
	ops := s.queue[:n:n]
	s.queue = s.queue[n:]
	s.mu.Unlock()

	s.wmu.Lock()
	s.commit(ops)
	s.wmu.Unlock()

	s.mu.Lock()
	if len(s.queue) > 0 {
		s.queue[0].lead <- struct{}{}
	} else {
		s.queue, s.lead = nil, false
	}
	s.mu.Unlock()
	return <-o.done
}

// commit runs a batch and answers each of its callers.
func (s *Store) commit(ops []*op) {
	if s.write == nil {
		for _, o := range ops {
			o.done <- errClosed
		}
		return
	}
	errs := make([]error, len(ops))
	err := s.transaction(func(t *tx) error {
		for i, o := range ops {
			if errs[i] = o.ctx.Err(); errs[i] != nil {
				continue
			}
			before := t.writes
			if errs[i] = o.fn(t); errs[i] != nil && (t.writes != before || t.err != nil) {
				return errAlone // its writes must not stay
			}
		}
		return nil
	})
	if err != nil && (len(ops) == 1 || !errors.Is(err, errAlone)) {
		for i := range ops {
			if errs[i] == nil {
				errs[i] = wrap(err)
			}
		}
	} else if err != nil {
		for i, o := range ops {
			if errs[i] = o.ctx.Err(); errs[i] == nil {
				errs[i] = wrap(s.transaction(func(t *tx) error { return errors.Join(o.fn(t), t.err) }))
			}
		}
	}
	for i, o := range ops {
		o.done <- wrap(errs[i])
	}
}

// errAlone ends a batch in which one function failed after it had written; each is then run in a transaction of its own.
var errAlone = errors.New("run alone")

func (s *Store) transaction(fn func(*tx) error) error {
	if err := s.write.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	t := &tx{s: s.write}
	if err := fn(t); err != nil {
		return errors.Join(err, s.rollback())
	}
	if t.writes == 0 {
		return s.rollback()
	}
	if err := s.write.exec("COMMIT"); err != nil {
		return errors.Join(err, s.rollback())
	}
	return nil
}

// rollback ends a transaction, also one that SQLite has ended itself after an error.
func (s *Store) rollback() error {
	err := s.write.exec("ROLLBACK")
	if err != nil && !inTransaction(s.write) {
		return nil
	}
	return err
}

func inTransaction(s *session) bool {
	// A BEGIN inside of a transaction is an error; one outside is not, and is taken back.
	if s.exec("BEGIN") != nil {
		return true
	}
	_ = s.exec("ROLLBACK")
	return false
}

// View runs fn on a state of the store that does not change meanwhile. fn must not write.
func (s *Store) View(ctx context.Context, fn func(compute.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return errClosed
	}
	var r *session
	if n := len(s.idle); n > 0 {
		r = s.idle[n-1]
		s.idle = s.idle[:n-1]
	}
	s.mu.Unlock()
	if r == nil {
		// The writer's connection is open already, and a command has no other use for it.
		if s.wmu.TryLock() {
			defer s.wmu.Unlock()
			if s.write == nil {
				return errClosed
			}
			return wrap(view(s.write, fn))
		}
		var err error
		if r, err = s.session(ctx); err != nil {
			return wrap(err)
		}
	}
	err := view(r, fn)
	s.mu.Lock()
	keep := !s.done && len(s.idle) < 4 && !errors.Is(err, errBroken)
	if keep {
		s.idle = append(s.idle, r)
	}
	s.mu.Unlock()
	if !keep {
		r.close()
	}
	return wrap(err)
}

var errBroken = errors.New("the connection is not usable any more")

func view(r *session, fn func(compute.Tx) error) error {
	if err := r.exec("BEGIN DEFERRED"); err != nil {
		return err
	}
	t := &tx{s: r, readOnly: true}
	err := fn(t)
	if e := r.exec("ROLLBACK"); e != nil {
		return errors.Join(err, e, errBroken)
	}
	return errors.Join(err, t.err)
}
