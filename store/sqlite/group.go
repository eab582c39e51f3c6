package sqlite

import (
	"cmp"
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
	err   error
	panic any // what fn panicked with
	gone  bool
}

// grows tells whether a call wants more, and gives nothing back.
func (o *op) grows() bool { return compute.IsGrowing(o.ctx) }

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

// Update runs fn in a transaction that no other process's overlaps and that is on the disk when Update returns. Callers that meet share one:
// the first to come leads, runs the functions of all who wait, commits once and hands the lead on. A function that fails or panics takes nothing
// of the others' with it; a panic goes on in its own caller's goroutine. fn may run twice, and on another goroutine. It must not call Update; View
// shows it the state before. When ctx ends before its turn, fn is not run; once its turn has come ctx is not looked at any more. An error other
// than fn's own means that nothing was changed, except where the disk failed in the midst of a commit: what was written then may yet be there
// after a crash.
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
			if s.write != nil {
				s.rollback()
			}
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

// commit runs a batch and leaves with each of its calls what became of it. Those for which the disk had no room have a second try.
func (s *Store) commit(all []*op) {
	ops := all
	if s.lean && !s.opt.Unsafe && slices.ContainsFunc(all, (*op).grows) { // what room there is is for giving back, until there is as much as before
		if s.provideNow(); s.lean {
			ops = slices.DeleteFunc(slices.Clone(all), (*op).grows)
			for _, o := range all {
				if o.grows() {
					o.err = errLean
				}
			}
		}
	}
	if len(ops) > 0 {
		s.attempt(ops)
	}
	var again, more []*op
	for _, o := range ops {
		switch {
		case o.panic != nil || o.err == nil || !isFull(o.err):
		case o.grows():
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
		o.err = wrap(o.err)
	}
}

// attempt runs a batch in a transaction, or in two.
func (s *Store) attempt(ops []*op) {
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
		if err != nil && o.panic == nil {
			o.err = err
		}
	}
}

// errApart ends a batch in which a function failed after it had written: it is run again with a savepoint before each function. Savepoints for
// all would cost each of them two statements.
var errApart = errors.New("run apart")

// transaction runs the functions of a batch. Its error is that of all of them.
func (s *Store) transaction(ops []*op, apart bool) error {
	if err := s.write.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	t := &tx{s: s.write} // one for all: what it has read holds for the next function too
	kept := 0
	for _, o := range ops {
		if o.panic != nil {
			continue // it has run, and its caller will never know what it did
		}
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		if apart {
			if err := s.write.exec("SAVEPOINT one"); err != nil {
				return errors.Join(err, s.rollback())
			}
		}
		t.writes = 0
		o.run(t)
		if o.err == nil {
			o.err = t.err // fn did not look at it
		}
		switch {
		case o.err == nil && apart:
			if err := cmp.Or(t.settle(), s.write.exec("RELEASE one")); err != nil {
				return errors.Join(err, s.rollback())
			}
		case o.err == nil, t.writes == 0 && t.err == nil && !apart:
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

// writer sees that there is a connection to write with. The caller holds wmu.
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

// rollback ends a transaction, also one that SQLite has ended itself after an error. A connection that cannot is given up for a new one, which
// has the same effect. The caller holds wmu.
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
	// A BEGIN inside of a transaction is an error; one outside is not, and is taken back.
	if s.exec("BEGIN") != nil {
		return true
	}
	return s.exec("ROLLBACK") != nil
}

// fewViews is how many calls of View use the writer's connection where that is free: a command, which makes few, then needs no second one, and
// in a process that stays no reader keeps writers waiting.
const fewViews = 16

// readers is how many calls of View are under way at most on connections of their own. They are kept: to open one takes longer than most of what is
// asked of it.
const readers = 6

// View runs fn on a state of the store that does not change meanwhile. fn must not write, nor call View: readers wait for each
// other where there are many.
func (s *Store) View(ctx context.Context, fn func(compute.Tx) error) error {
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

func view(r *session, fn func(compute.Tx) error) error {
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
