package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
)

// Work that a pass does not wait for any more goes on in the background.
const (
	// tasks in the background, before a pass waits for one to end; hanging ones are not counted
	maxBackground = 4
	hangTime      = 10 * time.Minute // work that takes longer hangs
)

// errChanged is why something is ended that was begun for another wish.
var errChanged = errors.New("something else is wanted of it now")

// runningTasks is the present work on partitions, one at a time for each.
type runningTasks struct {
	mu    sync.Mutex
	all   map[string]*runningTask
	freed chan struct{} // has something when one has ended
	wg    sync.WaitGroup
}

// runningTask is one piece of work on a partition.
type runningTask struct {
	wanted     proto.Partition
	since      time.Time
	cancel     context.CancelCauseFunc // nil: another caller's work, and not ours to end
	done       chan struct{}
	err        error // when done is closed
	background bool  // no pass waits for it
	missed     bool  // a pass would have done something else with the partition
}

// take has a work be the only one of its partition; other: there is another.
func (w *runningTasks) take(id string, one *runningTask) (other *runningTask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other = w.all[id]; other != nil {
		other.missed = true
		return other
	}
	if w.all == nil {
		w.all, w.freed = map[string]*runningTask{}, make(chan struct{}, 1)
	}
	one.since, one.done = time.Now(), make(chan struct{})
	w.all[id] = one
	return nil
}

// end is called when a work has ended. It says whether its end must be told, as no pass waits for
// it.
func (w *runningTasks) end(id string, one *runningTask) (tell bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, id)
	close(one.done)
	ring(w.freed)
	return one.background || one.missed
}

// toBackground lets a task go on in the background; false: it has ended.
func (w *runningTasks) toBackground(id string, one *runningTask) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.background = w.all[id] == one
	return one.background
}

// waitForRoom waits until not too many tasks are in the background.
func (w *runningTasks) waitForRoom(ctx context.Context) {
	for {
		n, next := 0, hangTime
		w.mu.Lock()
		for _, one := range w.all {
			if left := hangTime - time.Since(one.since); one.background && left > 0 {
				n++
				next = min(next, left)
			}
		}
		w.mu.Unlock()
		if n < maxBackground {
			return
		}
		select {
		case <-w.freed:
		case <-time.After(next):
		case <-ctx.Done():
			return
		}
	}
}

// Take keeps passes from a partition until free is called, so that the caller can work on it. ok is
// false when other work on it goes on now.
func (a *Agent) Take(id string) (free func(), ok bool) {
	w := &runningTask{}
	if a.works.take(id, w) != nil {
		return nil, false
	}
	return func() { a.free(id, w) }, true
}

func (a *Agent) free(id string, w *runningTask) {
	if a.works.end(id, w) && a.ended != nil {
		a.ended()
	}
}

// begin does a step, and waits for it as long as the agent's patience is; beside: it goes on in
// the background, or something else is done with the partition, and its end will be told.
func (a *Agent) begin(ctx context.Context, s Step, o Options) (beside bool, err error) {
	if a.Patience <= 0 || s.Action == Pass || s.Action == Refuse {
		return false, a.step(ctx, s, o)
	}
	one := *s.Partition // the pass' own may be read while this goes on
	w := &runningTask{wanted: one}
	running, cancel := context.WithCancelCause(ctx)
	w.cancel = cancel
	for {
		other := a.works.take(one.ID, w)
		if other == nil {
			break
		}
		if !other.obsolete(&one) {
			cancel(nil)
			return true, nil
		}
		a.warn("%s: what is done there is ended: %v", one.ID, errChanged)
		other.cancel(errChanged)
		select {
		case <-other.done:
		case <-ctx.Done():
			cancel(nil)
			return false, context.Cause(ctx)
		}
	}
	mine := s
	mine.Partition = &one
	a.works.wg.Go(func() {
		defer a.free(one.ID, w)
		defer cancel(nil)
		w.err = a.step(running, mine, o)
	})
	timer := time.NewTimer(a.Patience)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		if a.works.toBackground(one.ID, w) {
			a.say("%s takes long: it goes on beside the others.", one.ID)
			a.works.waitForRoom(ctx)
			return true, nil
		}
		<-w.done
	}
	s.Partition.Connection = one.Connection
	return false, w.err
}

// obsolete reports whether a new wish ends a work: another state or another release, and if it
// hangs any change. A mere change of parameters waits for the next time: it may be frequent, and
// then no work would ever end.
func (w *runningTask) obsolete(p *proto.Partition) bool {
	return w.cancel != nil &&
		(p.State != w.wanted.State || p.Release != w.wanted.Release || p.Timestamp != w.wanted.Timestamp && time.Since(w.since) > hangTime)
}
