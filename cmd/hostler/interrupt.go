package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// errInterrupted is the end by a signal that a user or the system sent us: what became of the work, and the signal's name.
type errInterrupted struct {
	signal string
	became string // "" where there is nothing to say
}

func (e *errInterrupted) Error() string {
	if e.became == "" {
		return "interrupted"
	}
	return "interrupted: " + e.became
}

func (e *errInterrupted) status() int { return 128 + compute.SignalNumber(e.signal) }

// untilSignal ends a context when the user or the system wants us to end. stop gives the signals back.
func (a *app) untilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	got, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() { // ends with the context
		defer close(done)
		select {
		case s := <-got:
			name := passedOn[s]
			a.signal.Store(&name)
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

// interrupted gives an error that a signal brought about its words: became says what was done or undone.
func (a *app) interrupted(err error, became string) error {
	var told *errInterrupted
	if name := a.signal.Load(); name != nil && errors.Is(err, context.Canceled) && !errors.As(err, &told) {
		return &errInterrupted{*name, became}
	}
	return err
}
