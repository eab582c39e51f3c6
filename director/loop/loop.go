// Package loop is the core that the directors share: one has the instances of sources (package
// director), the other the images on bare-metal nodes (package imagecache). Each observes and
// decides in its own way. When a round is due, which limits hold, in which order directives are
// recorded and carried out, what a dry run does, and who leads, stands here.
package loop

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// shortest is the least time between two rounds, however often a bell rings.
const shortest = 100 * time.Millisecond

// Beat says when rounds are done.
type Beat struct {
	First time.Duration        // until the first round
	Every func() time.Duration // from the beginning of one round to that of the next
	Bell  <-chan struct{}      // asks for a round at once; nil: nothing does
	Done  <-chan struct{}      // the same, when a directive has been carried out
}

// Run calls round at each beat until ctx ends.
func (b Beat) Run(ctx context.Context, round func(context.Context)) {
	tick := time.NewTimer(b.First)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.Bell:
		case <-b.Done:
		}
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		round(ctx)
		// a bell that rings all the time causes one round after the other, but does not use up the
		// machine
		select {
		case <-ctx.Done():
			return
		case <-time.After(shortest):
		}
		tick.Reset(max(0, b.Every()-time.Since(began)))
	}
}

// Leads is asked whether this director is to decide now: of several on a store one does. nil: it
// is.
type Leads func() bool

// Now reports whether this director is to decide now.
func (l Leads) Now() bool { return l == nil || l() }

// Step is a directive that a round has decided.
type Step struct {
	Log *slog.Logger // it has what the directive is
	Dry bool         // it is only logged
	// Begin records the directive. finish is the rest of the work, called once; nil: there is none.
	Begin func(context.Context) (finish func(context.Context) error, err error)
}

// Fate is what Act did with a step.
type Fate int

// The fates.
const (
	Begun   Fate = iota // it was begun, or could not be
	Shown               // it was only logged
	Dropped             // it was not begun: ctx had ended, or another director led
)

// Actor carries out what rounds have decided.
type Actor struct {
	Leads  Leads
	AtOnce int // how many directives of a call are carried out concurrently; 0: all
	// told when a directive has been carried out, unless it is full; nil: nothing is
	Done chan struct{}
}

// Act begins steps in their order and carries them out concurrently. under waits for those that go
// on when Act returns. An error of one is logged and does not stop the others.
func (a *Actor) Act(ctx context.Context, under *sync.WaitGroup, steps []Step) []Fate {
	fates := make([]Fate, len(steps))
	var slots chan struct{}
	if a.AtOnce > 0 {
		slots = make(chan struct{}, a.AtOnce)
	}
	for i := range steps {
		s := &steps[i]
		if s.Dry {
			s.Log.Info("would be done")
			fates[i] = Shown
			continue
		}
		if slots != nil {
			slots <- struct{}{} // what is carried out ends with ctx
		}
		if ctx.Err() != nil || !a.Leads.Now() {
			fates[i] = Dropped // the controller that leads next decides anew
			release(slots)
			continue
		}
		finish, err := s.Begin(ctx)
		if err != nil {
			s.Log.Warn("a directive cannot be begun", "err", err)
		} else if finish != nil {
			s.Log.Info("directive")
		}
		if finish == nil {
			release(slots)
			continue
		}
		under.Go(func() {
			defer release(slots)
			start := time.Now()
			if err := finish(ctx); err != nil && ctx.Err() == nil {
				s.Log.Warn("a directive failed", "err", err, "took", time.Since(start))
			}
			select { // there may be room for more now
			case a.Done <- struct{}{}:
			default:
			}
		})
	}
	return fates
}

// release gives a slot back; nil: there are none.
func release(slots chan struct{}) {
	if slots != nil {
		<-slots
	}
}

// Reports has the report of the last round for other goroutines.
type Reports[R any] struct {
	Told func(R) // called with each report; it must not block; nil: nobody

	mu   sync.Mutex
	last R
	at   time.Time
}

// Tell keeps a round's report and passes it on.
func (r *Reports[R]) Tell(report R, at time.Time) {
	r.mu.Lock()
	r.last, r.at = report, at
	r.mu.Unlock()
	if r.Told != nil {
		r.Told(report)
	}
}

// Last returns the report of the last round and its time; zero: there was none.
func (r *Reports[R]) Last() (R, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.at
}
