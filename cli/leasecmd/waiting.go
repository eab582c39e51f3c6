package leasecmd

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

const (
	sayAfter   = time.Second // before the reason for waiting is printed
	namedUsers = 3           // how many instances of each user are named
)

// waiting watches one request.
type waiting struct {
	app    *cli.App
	engine cli.Engine
	req    compute.Request
	asked  time.Time
	began  chan struct{} // closed when the request has to wait
	start  time.Time     // set before began is closed
	turn   time.Time     // when its turn came

	mu     sync.Mutex
	place  compute.Progress // in the queue
	making compute.Progress // of the instance that is being made for it
	said   string
}

// notify takes the engine's reports of progress.
func (w *waiting) notify(p compute.Progress) {
	if p.Phase == "wait" {
		w.mu.Lock()
		w.place, w.making = p, compute.Progress{}
		w.mu.Unlock()
		if w.start.IsZero() {
			w.start = time.Now()
			close(w.began)
		}
		return
	}
	w.mu.Lock()
	w.making = p
	w.mu.Unlock()
	if !w.start.IsZero() && w.turn.IsZero() {
		w.turn = time.Now()
	}
	if time.Since(w.asked) > sayAfter && w.seen() {
		w.say(progressText(p))
	}
}

// watch prints why a request waits, until ctx ends. If nobody sees the text change, it prints it
// once.
func (w *waiting) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
		return
	case <-w.began:
	}
	for first := true; ; first = false {
		if w.vain(ctx) {
			cancel(errVain)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sayAfter):
		}
		if !w.app.Quiet && !w.app.Compat && (first || term.IsTerminal(w.app.Err)) {
			w.say(w.text(ctx))
		}
	}
}

// overdue prints once that the request's time to wait is over, but that the instance being made for
// it is still awaited.
func (w *waiting) overdue(ctx context.Context) {
	if w.req.Wait <= 0 || w.app.Quiet || w.app.Compat {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(w.req.Wait + sayAfter):
	}
	w.mu.Lock()
	making := w.making
	w.mu.Unlock()
	if text := progressText(making); text != "" {
		w.say(fmt.Sprintf(
			"%s: the %s for which it may wait are over, and what is made for it goes on: %s", w.req.Source,
			term.TypedDuration(w.req.Wait), text,
		))
	}
}

// queued returns the time in the queue, once the request is answered.
func (w *waiting) queued() time.Duration {
	switch {
	case w.start.IsZero():
		return 0
	case w.turn.IsZero():
		return time.Since(w.start)
	}
	return w.turn.Sub(w.start)
}
