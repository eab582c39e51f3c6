package idempotency

import (
	"sync"
)

// flight is a request with a key that is being served.
type flight struct {
	digest  string
	done    chan struct{}
	end     func() // cancels it; nil: it cannot be cancelled
	givenUp bool   // give back what it is given; read it after done is closed
}

// flights are the requests with a key in progress in this process.
type flights struct {
	mu  sync.Mutex
	now map[[2]string]*flight
}

// take begins a flight, or returns the one in progress for the same key. end reports whether it was
// given up meanwhile.
func (f *flights) take(owner, key, digest string, stop func()) (other *flight, end func() (givenUp bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := [2]string{owner, key}
	if other := f.now[id]; other != nil {
		return other, nil
	}
	mine := &flight{digest: digest, done: make(chan struct{}), end: stop}
	if f.now == nil {
		f.now = map[[2]string]*flight{}
	}
	f.now[id] = mine
	return nil, func() bool {
		f.mu.Lock()
		delete(f.now, id)
		f.mu.Unlock()
		close(mine.done)
		return mine.givenUp
	}
}

// giveUp gives up the flight of a key and returns nil. If there is none, it begins one with no
// digest and returns its end.
func (f *flights) giveUp(owner, key string) (end func() bool) {
	for {
		other, end := f.take(owner, key, "", nil)
		if other == nil {
			return end
		}
		f.mu.Lock()
		on := f.now[[2]string{owner, key}] == other
		other.givenUp = other.givenUp || on
		f.mu.Unlock()
		if on {
			if other.end != nil {
				other.end()
			}
			return nil
		}
	}
}
