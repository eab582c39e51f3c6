package term

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/hostler-project/hostler/compute/exitstatus"
)

// UntilSignal returns a context that SIGINT, SIGTERM and SIGHUP end. stop restores the signals.
func (t *Terminal) UntilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	got, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() { // ends with the context
		defer close(done)
		select {
		case s := <-got:
			name := exitstatus.Signals[s]
			t.ended.Store(&name)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(got)
		cancel()
		<-done
	}
}

// Interrupted turns the error of a context that a signal ended into an Interruption. became says
// what was done or undone. Other errors are returned as they are.
func (t *Terminal) Interrupted(err error, became string) error {
	var told *Interruption
	if name := t.ended.Load(); name != nil && errors.Is(err, context.Canceled) && !errors.As(err, &told) {
		return &Interruption{Signal: *name, Became: became}
	}
	return err
}

// Signal returns the signal that ended the work, such as "INT"; "" if none has.
func (t *Terminal) Signal() string {
	if name := t.ended.Load(); name != nil {
		return *name
	}
	return ""
}
