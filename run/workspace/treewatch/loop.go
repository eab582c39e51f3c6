package treewatch

import (
	"context"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// Run calls run, and again after each change of a tree, as Loop does, until ctx ends. opt are the
// scan's options.
func Run(ctx context.Context, opt scan.Options, restart bool, run func(stop <-chan struct{})) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, changed, ended := make(chan struct{}), make(chan struct{}, 1), make(chan error, 1)
	go func() { // ends with ctx
		defer cancel()
		ended <- Tree(ctx, opt, ready, changed)
	}()
	select {
	case <-ready:
		Loop(ctx, changed, restart, run)
		cancel()
	case err := <-ended:
		return err
	}
	return <-ended
}

// Loop calls run, and again after each change, until ctx ends and the last run has returned. With
// restart, a change closes the channel that run was given, so that it can end early. run is not
// given ctx, and ends by itself.
func Loop(ctx context.Context, changed <-chan struct{}, restart bool, run func(stop <-chan struct{})) {
	for {
		if changes := once(ctx, changed, restart, run); ctx.Err() != nil {
			return
		} else if changes {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// once calls run. It reports whether a change has stopped it.
func once(ctx context.Context, changed <-chan struct{}, restart bool, run func(stop <-chan struct{})) (stopped bool) {
	select {
	case <-changed: // the coming run sees this change
	default:
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		run(stop)
	}()
	if !restart {
		changed = nil
	}
	done := ctx.Done()
	for {
		select {
		case <-ended:
			return stopped
		case <-done:
			done, changed = nil, nil
		case <-changed:
			changed, stopped = nil, true
			close(stop)
		}
	}
}
