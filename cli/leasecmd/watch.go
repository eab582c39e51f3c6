package leasecmd

import (
	"bytes"
	"context"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

const (
	// --watch looks so often, without a controller: the store is a file, and nobody calls
	watchEvery  = time.Second
	watchRemote = 10 * time.Second // and so often beside what a controller tells by itself
)

// watchStatus shows the status again whenever it has changed: on a terminal in place of the last
// one, else below it.
func watchStatus(a *cli.App, ctx context.Context, names []string, verbose bool, query string) error {
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	out := a.Out
	defer func() { a.Out = out }()
	clear := term.IsTerminal(out) && !a.JSON
	a.Stream = true
	var last []byte
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	changed, every, end := changes(a, ctx, engine)
	defer end()
	for {
		var now bytes.Buffer
		a.Out = &now
		if err := status(a, ctx, names, verbose, query); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !bytes.Equal(now.Bytes(), last) {
			text := now.Bytes()
			switch {
			case clear:
				text = append([]byte("\x1b[H\x1b[2J"), text...)
			case last != nil && !a.JSON && query == "":
				text = append([]byte("\n"), text...)
			}
			if _, err := out.Write(text); err != nil {
				return nil // the reader has gone
			}
			last = bytes.Clone(now.Bytes())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(every):
		}
	}
}

// changes tells of each change that a controller knows of, until end is called, and how often to
// look beside that.
func changes(a *cli.App, ctx context.Context, engine cli.Engine) (changed <-chan struct{}, every time.Duration, end func()) {
	if a.Remote == nil {
		return nil, watchEvery, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	bell, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		var q compute.EventQuery
		if last, err := engine.Events(ctx, compute.EventQuery{Newest: 1}); err == nil && len(last) > 0 {
			q.After = last[0].ID
		}
		// where it ends early there is the clock
		_ = a.Remote.Watch(ctx, q, func(compute.Event) error {
			select {
			case bell <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	return bell, watchRemote, func() { cancel(); <-done }
}
