package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/group"
)

// Update runs fn in a transaction that is alone, whatever processes there are, and that is on the
// server's disk when Update returns. Callers that meet share one: the first leads, runs the
// functions of all that wait, commits once and hands the lead on. If a function fails or panics,
// the others are unaffected; a panic goes on in its own caller's goroutine. fn may run several
// times, and on another goroutine. If it saw an old state it is run again, whatever it returned. It
// must not call Update; View shows it the state before. When ctx ends before its turn, fn is not
// run; after that ctx is not looked at. An error other than fn's own means that nothing was
// changed. One rare error says that this is not known, as the server did not answer.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed() {
		return errClosed
	}
	return s.queue.Do(ctx, fn)
}

// commit runs a batch and leaves with each of its calls what became of it. While the server is not
// there, it is waited for some time.
func (s *Store) commit(ops []*group.Call) {
	s.look(true)
	defer s.look(false)
	err := s.settle(ops)
	for _, o := range ops {
		if err != nil && !o.Panicked() {
			o.Err = err
		}
		o.Err = wrap(o.Err)
	}
}

// look begins and ends a time in which what Alive has found out holds.
func (s *Store) look(begin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch, s.alive = begin, nil
}

// settle runs a batch until it is known what became of it.
func (s *Store) settle(ops []*group.Call) error {
	apart := false
	limit := time.Now().Add(s.opt.Patience)
	if !s.down.IsZero() {
		limit = time.Now() // no caller waits twice; the next one tries again
	}
	pause := 10 * time.Millisecond
	for tries := 0; ; tries++ {
		err := s.writer()
		if err == nil {
			err = s.transaction(ops, apart)
			switch {
			case err == nil:
				s.down = time.Time{}
				return nil
			case errors.Is(err, errApart):
				apart = true
				continue
			case errors.Is(err, errMoved):
				s.rival = rivalry
				continue
			case !errors.Is(err, errLost):
				return err
			}
			s.lose(err)
		}
		switch {
		case errors.Is(err, errClosed), errors.Is(err, errUnknown):
			return err
		case !broken(err) || tries > 0 && time.Now().After(limit):
			s.down = time.Now()
			return errors.Join(errLost, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// errApart ends a batch in which a function failed after it had written: it is run again with a
// savepoint before each function. Savepoints for all would cost each of them two statements.
var errApart = errors.New("run apart")

// transaction runs the functions of a batch. Its error is that of all of them. A function that has
// failed by what the database said has its error in its call.
func (s *Store) transaction(ops []*group.Call, apart bool) (err error) {
	if s.memory.full() {
		s.memory.valid = false
	}
	t := &tx{s: s.write, m: s.memory, together: s.rival > 0, crowd: len(ops), class: s.class, worker: s.Worker()}
	defer func() {
		if err != nil {
			s.memory.valid = false // it has rolled back changes
		}
	}()
	if s.rival > 0 || apart {
		if err := t.open(); err != nil {
			return s.back(t, err)
		}
	}
	kept := 0
	for _, o := range ops {
		if o.Panicked() {
			continue // it has run, and its caller will never know what it did
		}
		if !o.Begun {
			if o.Err = o.Context().Err(); o.Err != nil {
				continue
			}
		}
		if apart {
			if err := t.ask(query{text: "SAVEPOINT one"}); err != nil {
				return s.back(t, err)
			}
		}
		o.Begun = true
		t.writes = 0
		o.Run(t)
		if t.fate != nil {
			return s.back(t, t.fate)
		}
		if o.Err == nil {
			o.Err = t.err // fn did not look at it
		}
		if apart && o.Err == nil {
			o.Err = t.ask(query{text: "RELEASE one"})
			if t.fate != nil {
				return s.back(t, t.fate)
			}
		}
		switch {
		case o.Err == nil, t.writes == 0 && t.err == nil && !apart:
		case apart:
			last := s.memory.last // numbers are not given twice
			// One after the other: in a transaction that has failed nothing else can be prepared.
			err := t.s.run(query{text: "ROLLBACK TO one"})
			if err == nil {
				err = t.s.run(query{text: "RELEASE one"})
			}
			if err != nil {
				return s.back(t, err)
			}
			s.memory.forget(s.memory.version, last)
			t = &tx{
				s: s.write, m: s.memory, began: true, moved: t.moved, together: t.together, touched: t.touched,
				class: s.class, worker: t.worker,
			}
			continue
		case len(ops) == 1:
			return s.refuse(t)
		default:
			return s.back(t, errApart)
		}
		kept += t.writes
	}
	if kept == 0 {
		return s.confirm(t)
	}
	return s.finish(t, len(ops) > 1 && !apart)
}

// refuse ends a transaction whose only function has failed after it wrote. Its error is final if
// the state that it has seen is still the newest.
func (s *Store) refuse(t *tx) error {
	err := s.confirm(t)
	s.memory.valid = false
	return err
}

// confirm ends a transaction that leaves nothing.
func (s *Store) confirm(t *tx) error {
	if t.began {
		return s.back(t, nil)
	}
	if !t.served {
		return nil // it has not looked at anything
	}
	return s.still(t)
}

// still checks whether the values read from memory are still true.
func (s *Store) still(t *tx) error {
	var version int64
	if err := t.s.run(query{text: "SELECT version FROM turn", rows: one(&version)}); err != nil {
		return err
	}
	if version != t.m.version {
		return errMoved
	}
	return nil
}

// back takes a transaction back on the server, after an error that goes on.
func (s *Store) back(t *tx, err error) error {
	if !t.began || errors.Is(err, errLost) {
		return err
	}
	return errors.Join(err, t.s.rollback())
}

// finish writes the rest of a transaction and commits, in one round trip. The condition on the
// version turns an outdated state into an error, and with it all of the round trip is rolled back.
func (s *Store) finish(t *tx, many bool) error {
	m := t.m
	qs := []query{{text: `UPDATE turn SET version = $1::bigint + 1 / (version = $1::bigint)::integer, instance = $2, lease = $3, waiter = $4, event = $5,
 done = done || jsonb_build_object($6::bigint, version + 1)`,
		args: []any{m.version, m.last.instance, m.last.lease, m.last.waiter, m.last.event, s.Worker()}}}
	qs = append(qs, t.flush()...)
	if t.together {
		qs = append(qs, t.tellChanges(m.version+1)...)
	}
	if s.urgent(m) {
		qs = append(qs, s.notice("wait"))
	}
	committed := false
	if t.began { // else what is sent together is a transaction by itself
		qs = append(qs, query{text: "COMMIT", rows: func(rows pgx.Rows) error { committed = true; return drain(rows) }})
	}
	if t.began && t.together {
		qs = append(qs, t.s.flushed())
	}
	err := t.s.run(qs...)
	switch {
	case err == nil:
		if t.moved {
			s.rival = rivalry
		} else if t.began {
			s.rival = max(0, s.rival-1)
		}
		m.version++
		s.proven = true
		s.wrote.Add(1)
		return nil
	case errors.Is(err, errLost), committed: // it may be there, and may be there and not durable
		return s.outcome(err, m.version+1)
	}
	if moved(err) {
		return s.back(t, errMoved)
	}
	if many {
		return s.back(t, errors.Join(errApart, err))
	}
	if name, ok := unique(err); ok {
		err = conflict(name, err)
	}
	return s.back(t, err)
}

// outcome finds out, after the connection broke during a commit, how that ended. nil: it was
// committed.
func (s *Store) outcome(lost error, version int64) error {
	number, proven := s.Worker(), s.proven
	s.lose(lost)
	limit := time.Now().Add(s.opt.Patience)
	for {
		err := s.writer() // which ends what the server may still be doing for the old connection
		var last int64
		if err == nil {
			// The session with the turn keeps it until it ends, so this waits for the old
			// transaction, if that lives.
			err = s.write.run(query{
				"SELECT coalesce((done ->> $1::text)::bigint, -1) FROM turn FOR UPDATE", []any{fmt.Sprint(number)},
				one(&last),
			})
			switch {
			case err == nil && last >= version:
				if err = s.write.run(s.write.flushed()); err != nil {
					s.lose(err)
					break
				}
				s.memory.valid = false
				s.wrote.Add(1)
				return nil
			case err == nil && (last >= 0 || !proven):
				return errMoved // nothing has happened: once more
			case err == nil: // we were taken for dead, and forgotten
				return errors.Join(errUnknown, lost)
			case errors.Is(err, errLost):
				s.lose(err)
			default:
				return errors.Join(errUnknown, err)
			}
		}
		if errors.Is(err, errClosed) || time.Now().After(limit) {
			s.down = time.Now()
			return errors.Join(errUnknown, lost, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// lose gives the connection up. The caller holds wmu.
func (s *Store) lose(err error) {
	s.memory.valid = false
	if s.write != nil {
		s.log.Warn("the connection to the database was lost", "database", s.Name(), "err", err)
		s.write.conn.Close(ended())
		s.write = nil
	}
}

// abandon rolls back after a function that ended its goroutine. The caller holds wmu.
func (s *Store) abandon() {
	if s.write == nil {
		return
	}
	s.memory.valid = false
	if s.write.conn.PgConn().TxStatus() != 'I' {
		if err := s.write.rollback(); err != nil {
			s.lose(err)
		}
	}
}

// View runs fn on a state of the store that does not change meanwhile. fn must not write. When ctx
// ends, so does what fn asks.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return errClosed
	}
	s.viewing.Add(1)
	s.mu.Unlock()
	defer s.viewing.Done()
	select {
	case s.readers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.readers }()
	for tries := 0; ; tries++ {
		err := s.view(ctx, fn)
		if errors.Is(err, errLost) && ctx.Err() != nil {
			return ctx.Err()
		}
		// A connection that was cut while it was idle is noticed now.
		if !errors.Is(err, errLost) || tries == again {
			return wrap(err)
		}
		s.mu.Lock()
		idle := s.idle
		s.idle = nil
		s.mu.Unlock()
		for _, r := range idle {
			r.conn.Close(ended())
		}
	}
}

// again is how often what only reads is tried once more on another connection, without a pause: for
// cuts, not for a server that is not there.
const again = 3

func (s *Store) view(ctx context.Context, fn func(store.Tx) error) error {
	var r *session
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		r = s.idle[n-1]
		s.idle = s.idle[:n-1]
	}
	s.mu.Unlock()
	if r == nil {
		var err error
		if r, err = s.dial(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errors.Join(errLost, err)
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
	// When the caller goes away in the midst, nothing but the connection is lost.
	stop := context.AfterFunc(ctx, func() { r.conn.PgConn().Conn().Close() })
	defer func() { keep = stop() && keep }()
	t := &tx{s: r, m: &memory{}, readOnly: true}
	t.m.forget(0, numbers{})
	err := fn(t)
	if t.fate != nil {
		return t.fate
	}
	if t.err != nil && !errors.Is(err, t.err) {
		err = errors.Join(err, t.err)
	}
	if !t.began {
		keep = true
		return err
	}
	late := false
	end := []query{{text: "ROLLBACK"}}
	if t.told {
		end = []query{behind(&late), {text: "ROLLBACK"}}
	}
	e := r.run(end...)
	if e == nil && late {
		e = r.run(r.flushed())
	}
	if e != nil {
		if err == nil && !t.told && errors.Is(e, errLost) {
			return nil // what was read is read
		}
		return errors.Join(err, e)
	}
	keep = true
	return err
}

// moved recognizes the error that the condition on the version makes.
func moved(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "22012"
}
