package cloud

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// health is whether a server is bad, as this process knows it. What is recorded counts, and of that
// what was recorded last: other processes may say so too.
type health struct {
	bad      time.Time   // since when, by this process' clock; zero: it is not
	reason   string      // why it is bad for ever
	mourning *time.Timer // until it is taken for dead
	spell    moment      // what is recorded of the time that it is bad now
	marks    int         // how many changes were recorded when this was
	changes  int         // made here, recorded or not
	unsaved  bool
}

// badness is what is recorded of a server that is bad.
type badness struct {
	Since moment `json:"since"`
	Why   string `json:"why,omitempty"` // for ever; "": it may heal
}

// GoneBad has nothing more booked on the server until NotBad; with a reason for ever. That is
// recorded: it counts for all processes, and for those that come later. With
// Options.AutoConfirmDead the server is destroyed when it has been bad for so long, by the process
// that has it or said so, or by the one that takes it over.
func (s *Server) GoneBad(permanently ...string) {
	s.mu.Lock()
	why := ""
	if len(permanently) > 0 {
		why = permanently[0]
	}
	if s.stage != living || !s.bad.IsZero() && (why == "" || s.reason != "") {
		s.mu.Unlock()
		return
	}
	if s.bad.IsZero() {
		s.bad = time.Now()
		s.mourn()
	}
	s.reason = cmp.Or(s.reason, why)
	s.changes++
	s.mu.Unlock()
	s.record()
}

// NotBad heals a server that is bad. It returns false where that is not so any more: it is bad for
// ever, or destroyed.
func (s *Server) NotBad() bool {
	s.mu.Lock()
	if s.reason != "" || s.stage != living {
		s.mu.Unlock()
		return false
	}
	if s.bad.IsZero() {
		s.mu.Unlock()
		return true
	}
	s.bad = time.Time{}
	s.unmourn()
	s.changes++
	s.mu.Unlock()
	s.record()
	return !s.IsBad() // another process may have said that it is bad for ever
}

// IsBad tells whether the server is bad.
func (s *Server) IsBad() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.bad.IsZero()
}

// BadDuration is for how long the server has been bad; 0: it is not.
func (s *Server) BadDuration() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad.IsZero() {
		return 0
	}
	return time.Since(s.bad)
}

// PermanentProblem is why the server is bad for ever; "": it is not.
func (s *Server) PermanentProblem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// record writes down whether the server is bad. When the store fails it goes on by what this
// process knows, and the next change is written.
func (s *Server) record() {
	if s.c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.c.ctx, s.t.Dial)
	defer cancel()
	var changes int
	r, err := s.c.book.change(ctx, s.Name, func(r *record) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		changes, s.unsaved = s.changes, true
		switch {
		case s.bad.IsZero() && r.Bad != nil && r.Bad.Why != "":
			// what another process said of it does not heal
		case s.bad.IsZero():
			r.Bad = nil
		case r.Bad == nil:
			at := s.c.now()
			ago := time.Since(s.bad)
			at.Wall, at.Up = at.Wall.Add(-ago), at.Up-ago
			r.Bad = &badness{Since: at, Why: s.reason}
		default:
			r.Bad.Why = cmp.Or(r.Bad.Why, s.reason)
		}
		r.Marks++
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != changes {
		return // who changed it since records that
	}
	if s.unsaved = err != nil; err == nil {
		s.take(r)
	} else if !errors.Is(err, compute.ErrNotFound) {
		s.c.log.Warn("whether a server is bad could not be recorded", "server", s.Name, "bad", !s.bad.IsZero(), "err", err)
	}
}

// learn takes what is recorded of the server's health, where that is newer than what this process
// knows.
func (s *Server) learn(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unsaved && r.Marks > s.marks {
		s.take(r)
	}
	if s.ours {
		s.mourn()
	}
}

// take has the server be as it is recorded. The caller holds mu.
func (s *Server) take(r record) {
	s.marks = r.Marks
	if r.Bad == nil {
		s.bad, s.reason = time.Time{}, ""
		s.unmourn()
		return
	}
	if s.bad.IsZero() || !r.Bad.Since.Wall.Equal(s.spell.Wall) {
		waits := s.mourning != nil
		s.unmourn()
		if s.bad = time.Now().Add(-s.c.since(r.Bad.Since)); waits {
			s.mourn()
		}
	}
	s.spell, s.reason = r.Bad.Since, r.Bad.Why
}

// mourn has a server that is bad be taken for dead when it has been so for long enough. The caller
// holds mu.
func (s *Server) mourn() {
	if s.c == nil || s.mourning != nil || s.bad.IsZero() || s.stage != living || s.c.opt.AutoConfirmDead <= 0 {
		return
	}
	s.mourning = time.AfterFunc(max(0, s.c.opt.AutoConfirmDead-time.Since(s.bad)), func() { s.c.goes(s.confirmDead) })
}

// unmourn ends the wait until the server is taken for dead. The caller holds mu.
func (s *Server) unmourn() {
	if s.mourning != nil {
		s.mourning.Stop()
		s.mourning = nil
	}
}

// confirmDead destroys the server that has been bad for long, unless it has healed, here or for
// another process.
func (s *Server) confirmDead(ctx context.Context) {
	for n := 1; ; n++ {
		r, err := s.c.recorded(ctx, s.Name)
		if errors.Is(err, compute.ErrNotFound) {
			return // another process destroyed it
		}
		if err == nil {
			s.learn(r)
			break
		}
		s.c.log.Warn("whether a server is dead could not be read", "server", s.Name, "err", err)
		if sleep(ctx, s.t.pause(n)) != nil {
			return
		}
	}
	s.mu.Lock()
	s.unmourn()
	bad := time.Since(s.bad)
	if s.bad.IsZero() || s.stage != living {
		s.mu.Unlock()
		return
	}
	if bad < s.c.opt.AutoConfirmDead { // it healed, and is bad anew
		s.mourn()
		s.mu.Unlock()
		return
	}
	why := s.reason
	s.stage = dying
	s.halt()
	s.mu.Unlock()
	s.c.log.Warn("a server was bad for long: it is taken for dead, and destroyed", "server", s.Name, "bad", bad, "why", why)
	s.destroyAtLast(ctx)
}
