package server

import (
	"context"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// lookEvery is how often it is looked whether there is more in the journal: other processes write
// to it too.
const lookEvery = 200 * time.Millisecond

// tail looks at the end of the journal, once for all who watch it. It does so while somebody does.
type tail struct {
	engine func() Engine

	mu       sync.Mutex
	watchers int
	more     chan struct{} // closed when there may be more than at the look before
	end      func()        // the looking, and waits for that
}

// join begins to watch, until leave is called.
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

// next is closed when there may be more than there is now. Who watches takes it before he reads the
// journal.
func (t *tail) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.more
}

// look looks until ctx ends. An error is for those who watch to find.
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
		found, err := t.engine().Events(ctx, compute.EventQuery{Newest: 1})
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
		if ctx.Err() == nil { // else more is another's
			close(t.more)
			t.more = make(chan struct{})
		}
		t.mu.Unlock()
	}
}
