package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/group"
)

// Update runs fn in a transaction that overlaps no other process's and that is on the disk when
// Update returns. Callers that meet share one: the first leads, runs the functions of all that
// wait, commits once and hands the lead on. If a function fails or panics, the others are
// unaffected; a panic goes on in its own caller's goroutine.
//
// fn may run twice, and on another goroutine. It must not call Update; View shows it the state
// before. When ctx ends before its turn, fn is not run; after that ctx is not looked at. An error
// other than fn's own means that nothing was changed, with one exception: if the disk failed in the
// midst of a commit, its changes may be there after a crash.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed() {
		return errClosed
	}
	return s.queue.Do(ctx, fn)
}

// grows reports whether a call wants more, and gives nothing back.
func grows(o *group.Call) bool { return store.IsGrowing(o.Context()) }

// commit runs a batch and stores each call's result. Calls for which the disk had no room have a
// second try.
func (s *Store) commit(all []*group.Call) {
	ops := all
	// until there is as much room as before, only transactions that give back may use it
	if s.lean && !s.opt.Unsafe && slices.ContainsFunc(all, grows) {
		if s.provideNow(); s.lean {
			ops = slices.DeleteFunc(slices.Clone(all), grows)
			for _, o := range all {
				if grows(o) {
					o.Err = errLean
				}
			}
		}
	}
	if len(ops) > 0 {
		s.attempt(ops)
	}
	var again, more []*group.Call
	for _, o := range ops {
		switch {
		case o.Panicked() || o.Err == nil || !isFull(o.Err):
		case grows(o):
			more = append(more, o)
		default:
			again = append(again, o)
		}
	}
	switch {
	case len(again) > 0:
		s.yield()
		s.attempt(again)
	case len(more) > 0: // it may have been for a moment
		s.attempt(more)
	default:
		if s.provide(); s.lean {
			s.shorten()
		}
	}
	for _, o := range all {
		o.Err = wrap(o.Err)
	}
}

// attempt runs a batch in a transaction, or in two.
func (s *Store) attempt(ops []*group.Call) {
	err := s.writer()
	if err == nil {
		err = s.transaction(ops, false)
		if errors.Is(err, errApart) {
			if err = s.writer(); err == nil {
				err = s.transaction(ops, true)
			}
		}
	}
	for _, o := range ops {
		if err != nil && !o.Panicked() {
			o.Err = err
		}
	}
}

// errApart ends a batch in which a function failed after it had written: it is run again with a
// savepoint before each function. Savepoints for all would cost each of them two statements.
var errApart = errors.New("run apart")

// transaction runs the functions of a batch. Its error is that of all of them.
func (s *Store) transaction(ops []*group.Call, apart bool) error {
	if err := s.write.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	t := &tx{s: s.write} // one for all: its reads hold for the next function too
	kept := 0
	for _, o := range ops {
		if o.Panicked() {
			continue // it has run, and its caller will never know what it did
		}
		if o.Err = o.Context().Err(); o.Err != nil {
			continue
		}
		if apart {
			if err := s.write.exec("SAVEPOINT one"); err != nil {
				return errors.Join(err, s.rollback())
			}
		}
		t.writes = 0
		o.Run(t)
		if o.Err == nil {
			o.Err = t.err // fn did not look at it
		}
		switch {
		case o.Err == nil && apart:
			if err := cmp.Or(t.settle(), s.write.exec("RELEASE one")); err != nil {
				return errors.Join(err, s.rollback())
			}
		case o.Err == nil, t.writes == 0 && t.err == nil && !apart:
		case apart:
			if err := cmp.Or(s.write.exec("ROLLBACK TO one"), s.write.exec("RELEASE one")); err != nil {
				// After errors of the disk SQLite itself has taken the whole transaction back.
				return errors.Join(t.err, err, s.rollback())
			}
			t = &tx{s: s.write}
			s.write.forget()
			continue
		case len(ops) == 1:
			return s.rollback()
		default:
			return errors.Join(errApart, s.rollback())
		}
		kept += t.writes
	}
	if kept == 0 { // nothing was written, so what is known stays true
		known := s.write.memory
		err := s.rollback()
		if s.write != nil {
			s.write.memory = known
		}
		return err
	}
	if err := t.settle(); err != nil {
		return errors.Join(err, s.rollback())
	}
	if err := s.write.exec("COMMIT"); err != nil {
		return errors.Join(err, s.rollback())
	}
	return nil
}

// abandon rolls back after a function that ended its goroutine. The caller holds wmu.
func (s *Store) abandon() {
	if s.write != nil {
		s.rollback()
	}
}

// writer makes sure of a connection to write with. The caller holds wmu.
func (s *Store) writer() (err error) {
	if s.write != nil {
		return nil
	}
	if s.closed() {
		return errClosed
	}
	s.write, err = openSession(s.dsn)
	return err
}

// rollback ends a transaction, also one that SQLite has ended itself after an error. If a
// connection cannot do that it is replaced, which has the same effect. The caller holds wmu.
func (s *Store) rollback() error {
	if s.write != nil {
		s.write.forget()
	}
	if s.write.exec("ROLLBACK") == nil || !s.write.inTransaction() {
		return nil
	}
	err := s.write.close()
	s.write = nil
	return err
}

func (s *session) inTransaction() bool {
	// A BEGIN inside of a transaction is an error; one outside succeeds, and is rolled back.
	if s.exec("BEGIN") != nil {
		return true
	}
	return s.exec("ROLLBACK") != nil
}

// fewViews is how many calls of View use the writer's connection if that is free. A command makes
// few calls, and then needs no second connection. In a process that stays, readers do not block
// writers.
const fewViews = 16

// readers is how many calls of View at most run on connections of their own. These are kept, as
// opening one takes longer than most queries.
const readers = 6

// View runs fn on a state of the store that does not change meanwhile. fn must not write, nor call
// View: readers may wait for each other.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return errClosed
	}
	s.views++
	early := s.views <= fewViews
	s.viewing.Add(1)
	defer s.viewing.Done()
	early = early && len(s.idle) == 0
	s.mu.Unlock()
	if early && s.wmu.TryLock() {
		defer s.wmu.Unlock()
		if err := s.writer(); err != nil {
			return wrap(err)
		}
		good := false
		defer func() {
			if !good {
				s.rollback()
			}
		}()
		err := view(s.write, fn)
		good = !errors.Is(err, errBroken)
		return wrap(err)
	}
	select {
	case s.seats <- struct{}{}:
		defer func() { <-s.seats }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var r *session
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		r = s.idle[n-1]
		s.idle = s.idle[:n-1]
	}
	s.mu.Unlock()
	if r == nil {
		var err error
		if r, err = openSession(s.dsn); err != nil {
			return wrap(err)
		}
	}
	keep := false // also when fn does not return
	defer func() {
		s.mu.Lock()
		keep = keep && !s.done
		if keep {
			s.idle = append(s.idle, r)
		}
		s.mu.Unlock()
		if !keep {
			r.close()
		}
	}()
	err := view(r, fn)
	keep = !errors.Is(err, errBroken)
	return wrap(err)
}

var errBroken = errors.New("the connection is not usable any more")

// view runs fn in a transaction that is rolled back. If the rollback fails, the session is
// broken.
func view(r *session, fn func(store.Tx) error) error {
	if err := r.exec("BEGIN DEFERRED"); err != nil {
		return err
	}
	t := &tx{s: r, readOnly: true}
	err := fn(t)
	if t.err != nil && !errors.Is(err, t.err) {
		err = errors.Join(err, t.err)
	}
	if e := r.exec("ROLLBACK"); e != nil {
		return errors.Join(err, e, errBroken)
	}
	return err
}
