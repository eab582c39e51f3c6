package main

import (
	"bytes"
	"context"
	"time"
)

// watchEvery is how often --watch looks. The store is a file, and nobody calls.
const watchEvery = time.Second

// watchStatus shows the status again whenever it has changed: on a terminal in place of the last one, else below it.
func (a *app) watchStatus(ctx context.Context, names []string, verbose bool, query string) error {
	ctx, stop := a.untilSignal(ctx)
	defer stop()
	out := a.out
	defer func() { a.out = out }()
	clear := isTerminal(out) && !a.flags.json
	a.stream = true
	var last []byte
	for {
		var now bytes.Buffer
		a.out = &now
		if err := a.status(ctx, names, verbose, query); err != nil {
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
			case last != nil && !a.flags.json && query == "":
				text = append([]byte("\n"), text...)
			}
			if _, err := out.Write(text); err != nil {
				return nil // who watched has gone
			}
			last = bytes.Clone(now.Bytes())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}
