package cloud

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// health is what this process knows of whether a server is bad. Other processes may record changes
// too: the change that was recorded last counts. Its lock may be held where life's is taken, and
// not the other way round.
type health struct {
	c         *Cloud // nil: nothing is recorded
	name      string
	lifecycle *lifecycle
	end       func(context.Context) // destroys the server

	mu          sync.Mutex
	bad         time.Time    // since when, by this process' clock; zero while the server is good
	reason      string       // why it is bad for ever
	deadTimer   *time.Timer  // destroys the server when it has been bad for too long
	badSince    proc.Reading // the recorded start of this bad time
	seenChanges int          // the number of recorded changes that this process has seen
	changes     int          // the number of changes made by this process
	unsaved     bool
}

// badState is what is recorded of a server that is bad.
type badState struct {
	Since proc.Reading `json:"since"`
	Why   string       `json:"why,omitempty"` // for ever; "": it may heal
}

// GoneBad marks the server as bad: nothing more is booked on it until NotBad. With a reason, the
// server is bad for ever. The mark is recorded, so it counts for all processes, later ones
// included. With Options.AutoConfirmDead, a server that stays bad for that long is destroyed. The
// process that has it, or takes it over, does that.
func (s *Server) GoneBad(permanently ...string) {
	why := ""
	if len(permanently) > 0 {
		why = permanently[0]
	}
	s.health.markBad(why)
}

// NotBad marks the server as good again. It returns false if the server is bad for ever or
// destroyed.
func (s *Server) NotBad() bool { return s.health.heal() }

// IsBad reports whether the server is bad.
func (s *Server) IsBad() bool { return s.health.isBad() }

// BadDuration returns for how long the server has been bad; 0 if it is not.
func (s *Server) BadDuration() time.Duration {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	if s.health.bad.IsZero() {
		return 0
	}
	return time.Since(s.health.bad)
}

// PermanentProblem returns why the server is bad for ever; "" if it is not.
func (s *Server) PermanentProblem() string {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.reason
}

func (h *health) isBad() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.bad.IsZero()
}

// unlessBad does something while the server is not bad, and does not become so meanwhile. It
// returns false for a bad one.
func (h *health) unlessBad(do func() bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bad.IsZero() && do()
}

// markBad marks the server as bad; for ever, if there is a reason.
func (h *health) markBad(why string) {
	h.mu.Lock()
	if !h.lifecycle.living() || !h.bad.IsZero() && (why == "" || h.reason != "") {
		h.mu.Unlock()
		return
	}
	if h.bad.IsZero() {
		h.bad = time.Now()
		h.startDeadTimer()
	}
	h.reason = cmp.Or(h.reason, why)
	h.changes++
	h.mu.Unlock()
	h.record()
}

// heal marks the server as good, unless it is bad for ever or destroyed.
func (h *health) heal() bool {
	h.mu.Lock()
	if h.reason != "" || !h.lifecycle.living() {
		h.mu.Unlock()
		return false
	}
	if h.bad.IsZero() {
		h.mu.Unlock()
		return true
	}
	h.bad = time.Time{}
	h.stopDeadTimer()
	h.changes++
	h.mu.Unlock()
	h.record()
	return !h.isBad() // another process may have said that it is bad for ever
}

// record writes down whether the server is bad. If the store fails, this process goes on with what
// it knows, and writes the next change.
func (h *health) record() {
	if h.c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(h.c.ctx, h.c.t.Dial)
	defer cancel()
	var changes int
	r, err := h.c.records.change(ctx, h.name, func(r *record) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		changes, h.unsaved = h.changes, true
		switch {
		case h.bad.IsZero() && r.Bad != nil && r.Bad.Why != "":
			// what another process recorded as bad for ever stays bad
		case h.bad.IsZero():
			r.Bad = nil
		case r.Bad == nil:
			at := h.c.now()
			ago := time.Since(h.bad)
			at.Wall, at.Up = at.Wall.Add(-ago), at.Up-ago
			r.Bad = &badState{Since: at, Why: h.reason}
		default:
			r.Bad.Why = cmp.Or(r.Bad.Why, h.reason)
		}
		r.Marks++
		return nil
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changes != changes {
		return // the goroutine that made the later change records it
	}
	if h.unsaved = err != nil; err == nil {
		h.take(r)
	} else if !errors.Is(err, compute.ErrNotFound) {
		h.c.log.Warn("whether a server is bad could not be recorded", "server", h.name, "bad", !h.bad.IsZero(), "err", err)
	}
}

// learn takes over the recorded health if it is newer than what this process knows.
func (h *health) learn(r record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.unsaved && r.Marks > h.seenChanges {
		h.take(r)
	}
	if h.lifecycle.claimed() {
		h.startDeadTimer()
	}
}

// take sets the health to what is recorded. The caller holds mu.
func (h *health) take(r record) {
	h.seenChanges = r.Marks
	if r.Bad == nil {
		h.bad, h.reason = time.Time{}, ""
		h.stopDeadTimer()
		return
	}
	if h.bad.IsZero() || !r.Bad.Since.Wall.Equal(h.badSince.Wall) {
		waits := h.deadTimer != nil
		h.stopDeadTimer()
		if h.bad = time.Now().Add(-h.c.now().Since(r.Bad.Since)); waits {
			h.startDeadTimer()
		}
	}
	h.badSince, h.reason = r.Bad.Since, r.Bad.Why
}

// startDeadTimer starts the timer after which a bad server is destroyed. The caller holds mu.
func (h *health) startDeadTimer() {
	if h.c == nil || h.deadTimer != nil || h.bad.IsZero() || !h.lifecycle.living() || h.c.opt.AutoConfirmDead <= 0 {
		return
	}
	h.deadTimer = time.AfterFunc(max(0, h.c.opt.AutoConfirmDead-time.Since(h.bad)), func() { h.c.background(h.confirmDead) })
}

// stopDeadTimer stops the timer of startDeadTimer. The caller holds mu.
func (h *health) stopDeadTimer() {
	if h.deadTimer != nil {
		h.deadTimer.Stop()
		h.deadTimer = nil
	}
}

// watch has this process destroy the server if it stays bad.
func (h *health) watch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.startDeadTimer()
}

// stopTimer has this process no longer destroy the server as bad.
func (h *health) stopTimer() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopDeadTimer()
}

// confirmDead destroys a server that has been bad for too long, unless this or another process has
// healed it.
func (h *health) confirmDead(ctx context.Context) {
	for n := 1; ; n++ {
		r, err := h.c.recorded(ctx, h.name)
		if errors.Is(err, compute.ErrNotFound) {
			return // another process destroyed it
		}
		if err == nil {
			h.learn(r)
			break
		}
		h.c.log.Warn("whether a server is dead could not be read", "server", h.name, "err", err)
		if sleep(ctx, h.c.t.pause(n)) != nil {
			return
		}
	}
	h.mu.Lock()
	h.stopDeadTimer()
	bad := time.Since(h.bad)
	if h.bad.IsZero() || !h.lifecycle.living() {
		h.mu.Unlock()
		return
	}
	if bad < h.c.opt.AutoConfirmDead { // it healed, and is bad anew
		h.startDeadTimer()
		h.mu.Unlock()
		return
	}
	why := h.reason
	condemned := h.lifecycle.beginDying()
	h.mu.Unlock()
	if !condemned {
		return
	}
	h.c.log.Warn("a server was bad for long: it is taken for dead, and destroyed", "server", h.name, "bad", bad, "why", why)
	h.end(ctx)
}
