package postgres

import (
	"context"
	"fmt"

	"time"
)

// The lead is an advisory lock on a connection of its own: of all handles on a database one has it.
// It is lost with that connection, so every handle asks for it again and again: the holder to check
// that it still has it, the others to get it. A sleeping process does not learn of the loss. So the
// lead counts for a time after it was last seen, and the server ends a connection that has not been
// used for longer than that.
const (
	leadEvery = time.Second // between two looks
	// so long after the beginning of a look that saw it held, it is held
	leadHolds = 4 * time.Second
	// the server ends a connection of which it has heard nothing for so long (PostgreSQL 14 and
	// later)
	leadEnds = 6 * time.Second
	leadLock = 0 // stands where the numbers of workers stand, which begin at 1
)

// Lead tries to have the lead until ctx ends, and gives it up then. told is called, by this
// goroutine alone, when it was got and when it is lost.
func (s *Store) Lead(ctx context.Context, told func(leads bool)) {
	var w *session
	had := false
	tell := func(has bool) {
		if has != had {
			had = has
			told(has)
		}
	}
	lose := func() {
		s.leading.Store(nil)
		if w != nil {
			w.conn.Close(ended())
			w = nil
		}
		tell(false)
	}
	defer func() {
		if w != nil { // so that another has it at once
			_ = w.run(query{text: "SELECT pg_advisory_unlock_all()", rows: drain})
		}
		lose()
	}()
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		start := time.Now()
		has, err := s.lookForLead(ctx, &w, had)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if had {
				s.log.Warn("the lead was lost", "database", s.Name(), "err", err)
			}
			lose()
		case has:
			until := start.Add(leadHolds)
			s.leading.Store(&until)
			tell(true)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookForLead takes the lead if it is free, or sees that it is still held.
func (s *Store) lookForLead(ctx context.Context, w **session, has bool) (bool, error) {
	if *w == nil {
		n, err := s.dial(ctx)
		if err != nil {
			return false, err
		}
		n.busy = 0 // it answers soon, or is given up
		*w = n
		// A server that has no such setting knows of a lost connection by TCP alone.
		err = n.run(query{
			"SELECT count(set_config(name, $1, false)) FROM pg_settings WHERE name = 'idle_session_timeout'",
			[]any{fmt.Sprint(leadEnds.Milliseconds())}, drain,
		})
		if err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, leadHolds)
	defer cancel()
	// The answer is waited for no longer than the lead would hold. Once it is ours, only the
	// connection's end takes it away.
	if has {
		return true, (*w).conn.Ping(ctx)
	}
	err := (*w).conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", s.class, leadLock).Scan(&has)
	if err == nil && s.closed() {
		err = errClosed
	}
	return has, err
}

// Leads tells whether this handle has the lead now. It checks two clocks, so a process that has
// slept knows at once that it may have lost it. The monotonic one counts through all changes of the
// time, and the wall clock also through a sleep of the machine.
func (s *Store) Leads() bool {
	until, now := s.leading.Load(), time.Now()
	return until != nil && now.Before(*until) && now.Round(0).Before(until.Round(0))
}
