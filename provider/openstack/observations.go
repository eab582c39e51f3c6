package openstack

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// observation is what this process has seen of a server. It only decides how patient we are.
type observation struct {
	building time.Time // first seen to be in BUILD
	active   time.Time // first seen to be ACTIVE
	refused  time.Time // when it first refused the log-in
	reached  bool      // a connection was opened
	lacking  string    // the cloud's id of the last server of this name that found no host
}

// observations are of the servers of this source.
type observations struct {
	mu    sync.Mutex
	known map[compute.ID]*observation
}

// see changes and returns what this process knows of a server.
func (all *observations) see(id compute.ID, f func(*observation)) observation {
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.known[id]
	if s == nil {
		s = &observation{}
		all.known[id] = s
	}
	f(s)
	return *s
}

func (all *observations) forget(id compute.ID) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.known, id)
}

// keyLocks are the locks of instances.
type keyLocks struct {
	mu   sync.Mutex
	busy map[compute.ID]*keyLock
}

// keyLock is an instance's lock: goroutines that make or delete it wait for it.
type keyLock struct {
	slot chan struct{}
	want int
}

// lock waits until no other goroutine makes or deletes an instance.
func (all *keyLocks) lock(ctx context.Context, id compute.ID) (unlock func(), err error) {
	all.mu.Lock()
	t := all.busy[id]
	if t == nil {
		t = &keyLock{slot: make(chan struct{}, 1)}
		all.busy[id] = t
	}
	t.want++
	all.mu.Unlock()
	leave := func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		if t.want--; t.want == 0 {
			delete(all.busy, id)
		}
	}
	select {
	case t.slot <- struct{}{}:
		return func() { <-t.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
