package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// acquireAndNote is acquire that also notes, for sources with Tally, what it could not give. If
// that cannot be written it is left out: the request's own error says more.
func (p *Pool) acquireAndNote(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	leases, err := p.acquire(ctx, req)
	if !errors.Is(err, compute.ErrNoCapacity) && !errors.Is(err, compute.ErrTimeout) {
		return leases, err
	}
	s := p.core.Sources[req.Source]
	if s == nil || !slices.ContainsFunc(s.All(), func(c *Source) bool { return c.Tally }) {
		return leases, err
	}
	_ = p.core.Store.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		for _, c := range s.All() {
			image := cmp.Or(req.Image, c.Image)
			if !c.Tally || image == "" {
				continue
			}
			if _, err := tx.Append(&compute.Event{Time: time.Now(), Kind: "unserved", Source: c.Name, Owner: req.Owner,
				Project: req.Project, Text: fmt.Sprintf("%d asked for, and none to be had", req.Count),
				Data: map[string]string{provider.FactImage: image, "count": strconv.Itoa(req.Count)}}); err != nil {
				return err
			}
		}
		return nil
	})
	return leases, err
}

// acquireObserver observes a request.
type acquireObserver struct {
	ctx    context.Context
	begin  time.Time
	notify func(compute.Progress) // the caller's function; nil: none

	mu     sync.Mutex
	since  time.Time // when it began to wait; zero: it does not
	waited time.Duration
	span   *trace.Span // of waiting
	missed bool
}

// progress notes whether the request had to wait or to create anything, and passes p on to
// notify. A span covers the wait.
func (w *acquireObserver) progress(p compute.Progress) {
	w.mu.Lock()
	switch {
	case p.Phase == "wait" && w.since.IsZero():
		w.missed, w.since = true, time.Now()
		_, w.span = trace.Start(w.ctx, "wait", trace.Attr{Key: "hostler.position", Value: p.Position})
	case p.Phase != "wait":
		w.missed = w.missed || slices.Contains([]string{"create", "connect", "set-up", "start"}, p.Phase)
		w.stopWaiting()
	}
	w.mu.Unlock()
	if w.notify != nil {
		w.notify(p)
	}
}

// stopWaiting ends waiting. The caller holds mu.
func (w *acquireObserver) stopWaiting() {
	if !w.since.IsZero() {
		w.waited += time.Since(w.since)
		w.since = time.Time{}
		w.span.End(nil)
	}
}

// end ends the observation and reports whether all instances stood ready.
func (w *acquireObserver) end() (hit bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopWaiting()
	return !w.missed
}
