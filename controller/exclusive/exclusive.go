// Package exclusive is for tasks that only one process on a store may do at a time.
package exclusive

import (
	"sync"
	"time"
)

// Task is held by the one process that delivers, keeps images ready or serves Kubernetes objects,
// if the store does not elect a leader. All methods may be called concurrently.
type Task struct {
	Row int64 // the row of the store's slots, one for each task

	mu    sync.Mutex
	free  func()
	tried time.Time
}

// slotStore end with the process that holds them.
type slotStore interface {
	Slot(row int64, most int) (free func(), ok bool, err error)
}

// The rows of slots for delivering, for images on bare metal and for Kubernetes objects. Rows of
// instances begin at 1 and never get so high.
const (
	Webhooks   = 0
	ImageCache = 1 << 30
	Resources  = ImageCache + 1
)

// Acquire takes the task if it is free, and reports whether this process has it.
func (t *Task) Acquire(store slotStore) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == nil && time.Since(t.tried) > time.Second {
		t.tried = time.Now()
		if free, ok, err := store.Slot(t.Row, 1); err == nil && ok {
			t.free = free
		}
	}
	return t.free != nil
}

// Release gives up the task.
func (t *Task) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free != nil {
		t.free()
		t.free = nil
	}
}
