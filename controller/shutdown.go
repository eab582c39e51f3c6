package controller

import (
	"context"
	"log/slog"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// shutdown is the shutdown of a controller. After a signal it drains for a while; a second signal
// ends it at once.
type shutdown struct {
	ctx   context.Context // ends when the controller is to stop
	begun atomic.Bool     // a signal has come; load balancers see it before the end
	stop  func()
	over  chan struct{}
}

// newShutdown listens for signals until close is called.
func newShutdown(ctx context.Context, log *slog.Logger, drain time.Duration) *shutdown {
	told, deaf := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	life, end := context.WithCancel(ctx)
	e := &shutdown{ctx: life, over: make(chan struct{})}
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

func (e *shutdown) close() {
	e.stop()
	<-e.over
}
