package pooltest

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// scheduler lets one goroutine of a simulation go on at a time. Each stops at its yields: before
// and after every call of a store, a provider or a hook, and at every step of the engine. The seed
// chooses who goes on, and which process dies where it stands. Time moves only when nobody stands
// at a yield.
type scheduler struct {
	dice  *rand.Rand
	start time.Time
	wake  chan struct{}
	check func() // after each turn
	crash func(*process) bool

	mu     sync.Mutex
	parked []*spot
	marks  []mark
	hash   uint64 // of the whole trace
	turns  int
	broken string // the first violation
}

// spot is where a goroutine stands.
type spot struct {
	id   int64 // the goroutine's; with one P they grow in the order of go statements
	proc *process
	what string
	on   chan struct{}
}

// mark is a line of the trace.
type mark struct {
	at   time.Duration
	who  string
	what string
}

func newScheduler(dice *rand.Rand) *scheduler {
	return &scheduler{dice: dice, start: time.Now(), wake: make(chan struct{}, 1)}
}

// yield stands still until the seed lets this goroutine go on. That of a process that died
// meanwhile ends here, with all that it had deferred; a call that it makes on its way out ends it
// again.
func (s *scheduler) yield(p *process, what string) {
	if p.dead.Load() {
		runtime.Goexit()
	}
	sp := &spot{id: goroutine(), proc: p, what: what, on: make(chan struct{})}
	s.mu.Lock()
	s.parked = append(s.parked, sp)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-sp.on
	if p.dead.Load() {
		runtime.Goexit()
	}
}

func goroutine() int64 {
	var b [40]byte
	f := bytes.Fields(b[:runtime.Stack(b[:], false)])
	id, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return id
}

// note adds a line to the trace.
func (s *scheduler) note(who, format string, args ...any) {
	m := mark{at: time.Since(s.start), who: who, what: fmt.Sprintf(format, args...)}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s %s", s.hash, m.at, m.who, m.what)
	s.mu.Lock()
	s.hash = h.Sum64()
	s.marks = append(s.marks, m)
	s.mu.Unlock()
}

// fail records a violation; the first one counts.
func (s *scheduler) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note("!", "%s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == "" {
		s.broken = text
	}
}

func (s *scheduler) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != ""
}

// run lets goroutines go on until done says so, something is broken, or patience of the bubble's
// time is over.
func (s *scheduler) run(patience time.Duration, done func() bool) {
	end := time.Now().Add(patience)
	for !s.failed() {
		synctest.Wait()
		s.check()
		s.mu.Lock()
		slices.SortFunc(s.parked, func(a, b *spot) int { return int(a.id - b.id) })
		n := len(s.parked)
		s.mu.Unlock()
		if n == 0 {
			if done() {
				return
			}
			if !time.Now().Before(end) {
				s.fail("no end after %v", patience)
				return
			}
			timer := time.NewTimer(time.Until(end))
			select {
			case <-s.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		if s.turns++; s.turns > 50_000 {
			s.fail("no end after %d turns", s.turns)
			return
		}
		s.mu.Lock()
		k := s.dice.IntN(n)
		sp := s.parked[k]
		s.mu.Unlock()
		if s.crash(sp.proc) {
			s.note(sp.proc.name, "dies at %s", sp.what)
			sp.proc.kill()
			s.sweep()
			continue
		}
		s.mu.Lock()
		s.parked = slices.Delete(s.parked, k, k+1)
		s.mu.Unlock()
		s.note(sp.proc.name, "%s", sp.what)
		close(sp.on)
	}
}

// sweep lets the goroutines of dead processes end.
func (s *scheduler) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked = slices.DeleteFunc(s.parked, func(sp *spot) bool {
		if sp.proc.dead.Load() {
			close(sp.on)
		}
		return sp.proc.dead.Load()
	})
}

// tail returns the last lines of the trace.
func (s *scheduler) tail(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, m := range s.marks[max(0, len(s.marks)-n):] {
		fmt.Fprintf(&b, "%12.6f %-4s %s\n", m.at.Seconds(), m.who, m.what)
	}
	return b.String()
}
