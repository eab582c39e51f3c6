// Package turn is for tasks that only one process on a store may do at a time.
package turn

import (
	"sync"
	"time"
)

// Turn is held by the one process that delivers, keeps images ready or serves Kubernetes objects,
// if the store does not elect a leader. All methods may be called concurrently.
type Turn struct {
	Place int64 // the row of the store's slots, one for each task

	mu    sync.Mutex
	free  func()
	tried time.Time
}

// slots end with the process that holds them.
type slots interface {
	Slot(row int64, most int) (free func(), ok bool, err error)
}

// The rows of slots for delivering, for images on bare metal and for Kubernetes objects. Rows of
// instances begin at 1 and never get so high.
const (
	Webhooks  = 0
	Metal     = 1 << 30
	Resources = Metal + 1
)

// Has takes the turn if it is free, and reports whether this process has it.
func (t *Turn) Has(store slots) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == nil && time.Since(t.tried) > time.Second {
		t.tried = time.Now()
		if free, ok, err := store.Slot(t.Place, 1); err == nil && ok {
			t.free = free
		}
	}
	return t.free != nil
}

// End gives up the turn.
func (t *Turn) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free != nil {
		t.free()
		t.free = nil
	}
}
