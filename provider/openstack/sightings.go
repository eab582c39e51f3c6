package openstack

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// sighting is what this process has seen of a server. It only decides how patient we are.
type sighting struct {
	building time.Time // first seen to be in BUILD
	active   time.Time // first seen to be ACTIVE
	refused  time.Time // when it first refused the log-in
	reached  bool      // a connection was opened
	lacking  string    // the cloud's id of the last server of this name that found no host
}

// sightings are of the servers of this source.
type sightings struct {
	mu    sync.Mutex
	known map[compute.ID]*sighting
}

// see changes and returns what this process knows of a server.
func (all *sightings) see(id compute.ID, f func(*sighting)) sighting {
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.known[id]
	if s == nil {
		s = &sighting{}
		all.known[id] = s
	}
	f(s)
	return *s
}

func (all *sightings) forget(id compute.ID) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.known, id)
}

// turns are the locks of instances.
type turns struct {
	mu   sync.Mutex
	busy map[compute.ID]*turn
}

// turn is an instance's lock: goroutines that make or delete it wait for it.
type turn struct {
	slot chan struct{}
	want int
}

// lock waits until no other goroutine makes or deletes an instance.
func (all *turns) lock(ctx context.Context, id compute.ID) (unlock func(), err error) {
	all.mu.Lock()
	t := all.busy[id]
	if t == nil {
		t = &turn{slot: make(chan struct{}, 1)}
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
