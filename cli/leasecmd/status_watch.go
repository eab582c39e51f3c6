package leasecmd

import (
	"bytes"
	"context"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

const (
	// between looks without a controller, as a file gives no notice
	watchEvery  = time.Second
	watchRemote = 10 * time.Second // between looks beside a controller's notices
)

// watchStatus shows the status again after each change: on a terminal in place of the last one,
// else below it.
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

// changes reports changes that a controller knows of, until end is called. every is how often to
// look anyway.
func changes(a *cli.App, ctx context.Context, engine cli.Engine) (changed <-chan struct{}, every time.Duration, end func()) {
	if a.Remote == nil {
		return nil, watchEvery, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	bell, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		var q inventory.EventQuery
		if last, err := engine.Events(ctx, inventory.EventQuery{Newest: 1}); err == nil && len(last) > 0 {
			q.After = last[0].ID
		}
		// if it ends early, the clock still triggers
		_ = cli.Watch(a, ctx, engine, q, func(compute.Event) error {
			select {
			case bell <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	return bell, watchRemote, func() { cancel(); <-done }
}
