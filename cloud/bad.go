package cloud

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// health is what this process knows of whether a server is bad. Other processes may record changes
// too: the change that was recorded last counts.
type health struct {
	bad      time.Time   // since when, by this process' clock; zero while the server is good
	reason   string      // why it is bad for ever
	mourning *time.Timer // destroys the server when it has been bad for too long
	spell    moment      // the recorded start of this bad time
	marks    int         // the number of recorded changes that this process has seen
	changes  int         // the number of changes made by this process
	unsaved  bool
}

// badness is what is recorded of a server that is bad.
type badness struct {
	Since moment `json:"since"`
	Why   string `json:"why,omitempty"` // for ever; "": it may heal
}

// GoneBad marks the server as bad: nothing more is booked on it until NotBad. With a reason, the
// server is bad for ever. The mark is recorded, so it counts for all processes, later ones
// included. With Options.AutoConfirmDead, a server that stays bad for that long is destroyed. The
// process that has it, or takes it over, does that.
func (s *Server) GoneBad(permanently ...string) {
	s.mu.Lock()
	why := ""
	if len(permanently) > 0 {
		why = permanently[0]
	}
	if s.life.stage != living || !s.bad.IsZero() && (why == "" || s.reason != "") {
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

// NotBad marks the server as good again. It returns false if the server is bad for ever or
// destroyed.
func (s *Server) NotBad() bool {
	s.mu.Lock()
	if s.reason != "" || s.life.stage != living {
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

// IsBad reports whether the server is bad.
func (s *Server) IsBad() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.bad.IsZero()
}

// BadDuration returns for how long the server has been bad; 0 if it is not.
func (s *Server) BadDuration() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad.IsZero() {
		return 0
	}
	return time.Since(s.bad)
}

// PermanentProblem returns why the server is bad for ever; "" if it is not.
func (s *Server) PermanentProblem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// record writes down whether the server is bad. If the store fails, this process goes on with what
// it knows, and writes the next change.
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
			// what another process recorded as bad for ever stays bad
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
		return // the goroutine that made the later change records it
	}
	if s.unsaved = err != nil; err == nil {
		s.take(r)
	} else if !errors.Is(err, compute.ErrNotFound) {
		s.c.log.Warn("whether a server is bad could not be recorded", "server", s.Name, "bad", !s.bad.IsZero(), "err", err)
	}
}

// learn takes over the recorded health if it is newer than what this process knows.
func (s *Server) learn(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unsaved && r.Marks > s.marks {
		s.take(r)
	}
	if s.life.ours {
		s.mourn()
	}
}

// take sets the health to what is recorded. The caller holds mu.
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

// mourn starts the timer after which a bad server is destroyed. The caller holds mu.
func (s *Server) mourn() {
	if s.c == nil || s.mourning != nil || s.bad.IsZero() || s.life.stage != living || s.c.opt.AutoConfirmDead <= 0 {
		return
	}
	s.mourning = time.AfterFunc(max(0, s.c.opt.AutoConfirmDead-time.Since(s.bad)), func() { s.c.goes(s.confirmDead) })
}

// unmourn stops the timer of mourn. The caller holds mu.
func (s *Server) unmourn() {
	if s.mourning != nil {
		s.mourning.Stop()
		s.mourning = nil
	}
}

// confirmDead destroys a server that has been bad for too long, unless this or another process has
// healed it.
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
	if s.bad.IsZero() || s.life.stage != living {
		s.mu.Unlock()
		return
	}
	if bad < s.c.opt.AutoConfirmDead { // it healed, and is bad anew
		s.mourn()
		s.mu.Unlock()
		return
	}
	why := s.reason
	s.life.stage = dying
	s.life.halt()
	s.mu.Unlock()
	s.c.log.Warn("a server was bad for long: it is taken for dead, and destroyed", "server", s.Name, "bad", bad, "why", why)
	s.destroyAtLast(ctx)
}
