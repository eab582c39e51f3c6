package controller

import (
	"context"
	"log/slog"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// ending is how a controller comes to its end: it is told to by a signal, and ends when the time to
// drain is over, or at a second signal.
type ending struct {
	ctx   context.Context // ends with it
	begun atomic.Bool     // it has been told; what spreads requests is to see that before it ends
	stop  func()
	over  chan struct{}
}

// newEnding listens for the signals until close.
func newEnding(ctx context.Context, log *slog.Logger, drain time.Duration) *ending {
	told, deaf := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	life, end := context.WithCancel(ctx)
	e := &ending{ctx: life, over: make(chan struct{})}
	e.stop = func() { end(); deaf() }
	go func() {
		defer close(e.over)
		defer end()
		select {
		case <-told.Done():
		case <-life.Done():
			return
		}
		e.begun.Store(true)
		if drain == 0 || ctx.Err() != nil {
			return
		}
		again, deaf := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer deaf()
		log.Info("told to end: not ready any more", "drain", drain)
		select {
		case <-time.After(drain):
		case <-again.Done():
		case <-life.Done():
		}
	}()
	return e
}

func (e *ending) close() {
	e.stop()
	<-e.over
}
