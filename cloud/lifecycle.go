package cloud

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
)

// lifecycle is what a server is used for, and how it comes to its end. A booking, a running
// command and the countdown decide on the same facts, so they share a lock.
type lifecycle struct {
	ttd     time.Duration // destroy the server after it was idle for so long; 0: never
	expired func()        // destroys the server when the countdown is over

	mu          sync.Mutex
	space       *share.Space
	used        bool // something was booked once
	parts       int  // parts that are booked
	commands    int  // commands that run now
	stage       stage
	claimedHere bool // spawned or taken over here: only this process counts it down
	counts      bool // the countdown may start when the server is idle
	countdown   *time.Timer
	generation  int           // the number of the countdown; a stopped one finds another number
	ending      chan struct{} // closed when the running Destroy ends
	failed      bool          // the last Destroy ended with an error
}

// stage is how far a server's end has come.
type stage int

const (
	living stage = iota
	dying
	dead
)

// errDestroyed is why commands end and nothing can be done any more.
var errDestroyed = errors.New("the server was destroyed")

// living reports whether the server is neither destroyed nor being destroyed.
func (l *lifecycle) living() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage == living
}

// busy reports whether something is booked or runs. The caller holds mu.
func (l *lifecycle) busy() bool { return l.parts > 0 || l.commands > 0 }

// book books a part of the server, and stops a countdown.
func (l *lifecycle) book(part compute.Resources) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage != living || !l.space.Book(part) {
		return false
	}
	l.used = true
	l.parts++
	l.stopTimer()
	return true
}

// unbook gives a part back, and starts the countdown if it was the last.
func (l *lifecycle) unbook(part compute.Resources) {
	l.mu.Lock()
	if l.parts > 0 {
		l.space.Unbook(part)
		l.parts--
	}
	l.mu.Unlock()
	l.idle()
}

// fits returns how many parts of a size fit beside what is booked.
func (l *lifecycle) fits(part compute.Resources) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage != living {
		return 0
	}
	return l.space.Fits(part)
}

func (l *lifecycle) wasUsed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// begin counts a running command, so that the server is not destroyed as idle under it.
func (l *lifecycle) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage != living {
		return errDestroyed
	}
	l.commands++
	l.stopTimer()
	return nil
}

// ended ends what begin began.
func (l *lifecycle) ended() {
	l.mu.Lock()
	l.commands--
	counts := l.counts
	l.mu.Unlock()
	if counts {
		l.idle()
	}
}

// claim has this process count the server down.
func (l *lifecycle) claim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claimedHere = true
}

func (l *lifecycle) claimed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claimedHere
}

// idle starts the countdown, unless something is booked or runs.
func (l *lifecycle) idle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts = true
	if !l.claimedHere || l.ttd <= 0 || l.stage != living || l.busy() || l.countdown != nil {
		return
	}
	l.generation++
	round := l.generation
	l.countdown = time.AfterFunc(l.ttd, func() { l.expire(round) })
}

// expire has the server destroyed, unless it was used at the last moment.
func (l *lifecycle) expire(round int) {
	l.mu.Lock()
	if l.generation != round || l.countdown == nil || l.busy() || l.stage != living {
		l.mu.Unlock()
		return
	}
	l.countdown = nil
	l.stage = dying // from here on nothing can be booked
	l.mu.Unlock()
	l.expired()
}

// stopTimer stops a countdown. The caller holds mu.
func (l *lifecycle) stopTimer() {
	if l.countdown != nil {
		l.countdown.Stop()
		l.countdown = nil
	}
}

// stopCountdown stops a countdown.
func (l *lifecycle) stopCountdown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopTimer()
}

// beginDying begins the end of a server: from here on nothing can be booked. It returns false if
// its end had begun already.
func (l *lifecycle) beginDying() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage != living {
		return false
	}
	l.stage = dying
	l.stopTimer()
	return true
}

// destroyFailed reports whether the last Destroy of this process failed, and none runs.
func (l *lifecycle) destroyFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage == dying && l.ending == nil && l.failed
}

// end ends the server by a function. One call does it, and the others wait for that one. After an
// error, one of them tries again.
func (l *lifecycle) end(ctx context.Context, destroy func(context.Context) error) error {
	for {
		l.mu.Lock()
		if l.stage == dead {
			l.mu.Unlock()
			return nil
		}
		if other := l.ending; other != nil {
			l.mu.Unlock()
			select {
			case <-other:
				l.mu.Lock()
				failed := l.stage != dead
				l.mu.Unlock()
				if failed && ctx.Err() == nil {
					continue // that attempt did not finish: try now
				}
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		l.stage = dying
		l.stopTimer()
		ending := make(chan struct{})
		l.ending = ending
		l.mu.Unlock()

		err := destroy(ctx)
		l.mu.Lock()
		l.ending, l.failed = nil, err != nil
		if err == nil {
			l.stage = dead
		}
		l.mu.Unlock()
		close(ending)
		return err
	}
}
