package auth

import "sync"

// Shares divide an amount among names. A name may have as much as is left over: one name alone has
// half of the amount, and another that comes always finds a part. All methods may be called
// concurrently.
type Shares struct {
	mu    sync.Mutex
	left  int64
	taken map[string]int64 // by name
}

// NewShares returns the shares of an amount, of at least one.
func NewShares(amount int64) *Shares {
	return &Shares{left: max(amount, 1), taken: map[string]int64{}}
}

// Take takes n for a name, until free is called. If ok is false, the name may not have so much now.
func (s *Shares) Take(name string, n int64) (free func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[name]+n > s.left {
		return nil, false
	}
	s.add(name, n)
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.add(name, -n)
	}), true
}

func (s *Shares) add(name string, n int64) {
	s.left -= n
	if s.taken[name] += n; s.taken[name] == 0 {
		delete(s.taken, name)
	}
}
