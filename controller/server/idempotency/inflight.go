package idempotency

import (
	"sync"
)

// inflight is a request with a key that is being served.
type inflight struct {
	digest  string
	done    chan struct{}
	end     func() // cancels it; nil: it cannot be cancelled
	givenUp bool   // give back what it is given; read it after done is closed
}

// inflightKeys are the requests with a key in progress in this process.
type inflightKeys struct {
	mu    sync.Mutex
	byKey map[[2]string]*inflight
}

// take begins a request, or returns the one in progress for the same key. end reports whether it
// was given up meanwhile.
func (f *inflightKeys) take(owner, key, digest string, stop func()) (other *inflight, end func() (givenUp bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := [2]string{owner, key}
	if other := f.byKey[id]; other != nil {
		return other, nil
	}
	mine := &inflight{digest: digest, done: make(chan struct{}), end: stop}
	if f.byKey == nil {
		f.byKey = map[[2]string]*inflight{}
	}
	f.byKey[id] = mine
	return nil, func() bool {
		f.mu.Lock()
		delete(f.byKey, id)
		f.mu.Unlock()
		close(mine.done)
		return mine.givenUp
	}
}

// giveUp gives up the request of a key and returns nil. If there is none, it begins one with no
// digest and returns its end.
func (f *inflightKeys) giveUp(owner, key string) (end func() bool) {
	for {
		other, end := f.take(owner, key, "", nil)
		if other == nil {
			return end
		}
		f.mu.Lock()
		on := f.byKey[[2]string{owner, key}] == other
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
