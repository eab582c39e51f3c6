package server

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute/inventory"
)

// lookEvery is how often to check the journal for more: other processes write to it too.
const lookEvery = 200 * time.Millisecond

// tail checks the end of the journal for all watchers together, while there are any.
type tail struct {
	engine func() Engine

	mu       sync.Mutex
	watchers int
	more     chan struct{} // closed when there may be new events
	end      func()        // stops the loop and waits for it
}

// join counts a watcher until leave is called.
func (t *tail) join() (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers++; t.watchers == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		t.more = make(chan struct{})
		t.end = func() { cancel(); <-done }
		go func() {
			defer close(done)
			t.look(ctx)
		}()
	}
	return func() {
		t.mu.Lock()
		var end func()
		if t.watchers--; t.watchers == 0 {
			end = t.end
		}
		t.mu.Unlock()
		if end != nil {
			end()
		}
	}
}

// next returns a channel that is closed when there may be new events. A watcher must take it before
// it reads the journal.
func (t *tail) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.more
}

// look checks the journal until ctx ends. It wakes watchers at an error too, as they will report
// it.
func (t *tail) look(ctx context.Context) {
	pause := time.NewTicker(lookEvery)
	defer pause.Stop()
	last := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		found, err := t.engine().Events(ctx, inventory.EventQuery{Newest: 1})
		if ctx.Err() != nil {
			return
		}
		id := int64(0)
		if len(found) > 0 {
			id = found[0].ID
		}
		if err == nil && id == last {
			continue
		}
		last = id
		if err != nil {
			last = -1
		}
		t.mu.Lock()
		if ctx.Err() == nil { // otherwise more belongs to a later loop
			close(t.more)
			t.more = make(chan struct{})
		}
		t.mu.Unlock()
	}
}
