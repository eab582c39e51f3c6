package format

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotPosted is in the error of a machine that was formatted while the master could not be told.
var ErrNotPosted = errors.New("the machine is formatted, and the master does not know")

// A Boot brings a computer back after its machine was started (SlapOS: node boot). Nothing in it
// gives up; only its context ends it.
type Boot struct {
	// whether the interface has its global address of IPv6
	Ready   func(ctx context.Context) (bool, error)
	Format  func(ctx context.Context) error // formats and posts the description to the master
	Answers func(ctx context.Context) bool  // whether the master is to be reached
	Bang    func(ctx context.Context) error // asks the master for processing of all partitions
	Forget  func(ctx context.Context) error // has the next pass process all
	Say     func(text string)

	ReadyPause, FormatPause time.Duration // between tries
}

// Run boots: it waits for the network, formats, tells the master, and asks for processing of all
// partitions.
func (b *Boot) Run(ctx context.Context) error {
	err := b.until(ctx, b.ReadyPause, func() error {
		ready, err := b.Ready(ctx)
		if err == nil && !ready {
			err = errors.New("the interface has no global address of IPv6 yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	err = b.until(ctx, b.FormatPause, func() error {
		err := b.Format(ctx)
		if errors.Is(err, ErrNotPosted) {
			b.Say(err.Error())
			_ = b.until(ctx, b.FormatPause, func() error {
				if !b.Answers(ctx) {
					return errors.New("the master does not answer")
				}
				return nil
			})
			err = b.Format(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := b.until(ctx, b.FormatPause, func() error { return b.Bang(ctx) }); err != nil {
		return err
	}
	return b.Forget(ctx)
}

// until tries until it succeeds, with pauses.
func (b *Boot) until(ctx context.Context, pause time.Duration, try func() error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := try()
		if err == nil {
			return nil
		}
		b.Say(fmt.Sprintf("%v; it is tried again in %s", err, pause))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
