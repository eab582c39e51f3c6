package postgres

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// enlist gives this handle a number that none had before, and locks it for as long as the
// connection stands.
func (s *Store) enlist(w *session) error {
	var number int64
	err := w.run(query{text: "SELECT nextval('workers')", rows: one(&number)})
	if err == nil && number > math.MaxInt32 {
		err = errors.New("no worker's number is left")
	}
	if err == nil {
		// The number is not known to others yet, so this cannot block.
		err = w.run(query{text: "SELECT pg_advisory_lock($1, $2)", args: []any{s.class, number}, rows: drain})
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worker, s.proven = number, false
	return nil
}

func drain(rows pgx.Rows) error {
	for rows.Next() {
	}
	return rows.Err()
}

// reclaim takes this handle's number again on a new connection. Sessions that the server still
// holds for the old one are ended: it may not know yet that their client has gone. ok is false when
// the number cannot be had.
func (s *Store) reclaim(w *session) (ok bool, err error) {
	number := s.Worker()
	lock := query{"SELECT pg_try_advisory_lock($1, $2)", []any{s.class, number}, one(&ok)}
	limit := time.Now().Add(2 * time.Second)
	for {
		err := w.run(lock)
		if err != nil || ok || time.Now().After(limit) {
			return ok, err
		}
		// Only an old connection of ours can hold it so: others ask for it shared, and let go at
		// once.
		err = w.run(query{`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1 AND objid::bigint = $2
 AND objsubid = 2 AND mode = 'ExclusiveLock' AND granted AND pid <> pg_backend_pid()
 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, []any{int64(uint32(s.class)), number}, drain})
		if err != nil {
			return false, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// resign gives the number up at once.
func (s *Store) resign(w *session) error {
	return w.run(query{text: "SELECT pg_advisory_unlock_all()", rows: drain})
}

// writer makes sure of a connection that holds this worker's number. The caller holds wmu.
func (s *Store) writer() error {
	if s.write != nil {
		return nil
	}
	if s.closed() {
		return errClosed
	}
	w, err := s.dial(context.Background())
	if err != nil {
		return err
	}
	old := s.Worker()
	ok, err := s.reclaim(w)
	if err == nil && !ok {
		err = s.enlist(w)
	}
	if err != nil {
		w.close()
		return err
	}
	s.write, s.memory.valid = w, false
	w.watched = true
	s.writing.Store(w)
	s.log.Info("the database is connected again", "database", s.Name(), "worker", s.Worker(), "before", old)
	return nil
}

// watchEvery is how often an idle connection is checked.
const watchEvery = time.Second

// watch notices a lost number while this handle does not write.
func (s *Store) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w := s.writing.Load(); w != nil {
			w.late()
		}
		if s.wmu.TryLock() { // else it is in use
			if s.write != nil && !s.write.alive() {
				s.lose(errors.New("it does not answer"))
			}
			if s.write == nil {
				if err := s.writer(); err != nil {
					s.log.Debug("the database is not there", "database", s.Name(), "err", err)
				}
			}
			s.wmu.Unlock()
		}
		s.keepPlaces()
	}
}

// Worker is this handle's number: no other that lives has it. It changes when the connection was
// lost and the number could not be had again.
func (s *Store) Worker() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.worker
}

// Alive tells whether the worker with this number lives. If the server cannot say, it does.
func (s *Store) Alive(worker int64) bool {
	s.mu.Lock()
	own := worker == s.worker && !s.done
	known, found := s.alive[worker]
	s.mu.Unlock()
	switch {
	case own:
		return true
	case worker <= 0 || worker > math.MaxInt32:
		return false
	case found:
		return known
	}
	var free bool
	err := s.side.run(s, query{"SELECT pg_try_advisory_xact_lock_shared($1, $2)", []any{s.class, worker}, one(&free)})
	alive := err != nil || !free || s.missed(worker)
	if err == nil && !free {
		s.side.forget(worker)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch { // a function asks for each of a thousand in the queue
		if s.alive == nil {
			s.alive = map[int64]bool{}
		}
		s.alive[worker] = alive
	}
	return alive
}

// missed reports whether a worker whose lock is free may yet come back.
func (s *Store) missed(worker int64) bool {
	return s.opt.Grace >= 0 && s.side.freeFor(worker, time.Now()) < s.opt.Grace
}

// tidy is the statement that forgets the last acts of workers that have ended. A living worker
// whose connection was just cut may be among them: it then reports that it does not know the result
// of its last commit.
func tidy(class int32) query {
	return query{text: `UPDATE turn SET done = done - ARRAY(SELECT k FROM jsonb_object_keys(done) AS k WHERE pg_try_advisory_xact_lock_shared($1, k::integer))
 WHERE (SELECT count(*) FROM jsonb_object_keys(done)) > 20`, args: []any{class}}
}
