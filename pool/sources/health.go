package sources

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// A place may not answer for a while: a cluster's API server is being replaced, or the network
// to it is down. Then nothing is known of its computers, so none is given up. Leases live on,
// ready instances there are given to nobody until it answers, and other sources of a pool serve.
// A provider with Health.Watch can tell; a controller asks all of them now and then.

const (
	// OverseePatience is for an answer, and for a check of one of its computers.
	OverseePatience = 10 * time.Second
	// until a request finds out whether it answers again, where nothing else has asked before
	awayPause = 30 * time.Second
)

// UnreachableError says that a call failed because the place behind a source did not answer: it
// says nothing about the instance.
type UnreachableError struct {
	Key int64 // the source's record
	err error
}

func (e *UnreachableError) Error() string { return e.err.Error() }

func (e *UnreachableError) Unwrap() error { return e.err }

func AsUnreachable(err error) *UnreachableError {
	var e *UnreachableError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Reaches checks, after an error that may come from it, whether the place behind a provider
// answers. If not it returns an UnreachableError. Other errors stay.
func (p *Providers) Reaches(ctx context.Context, o *Opened, key int64, err error) error {
	if o.Health.Watch == nil || ctx.Err() != nil ||
		!errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, OverseePatience)
	defer cancel()
	if _, e := o.Health.Watch(bounded); e == nil || ctx.Err() != nil {
		return err
	}
	return &UnreachableError{key, err}
}

// Healthy returns the provider's error if a computer is not fit to be handed out.
func (p *Providers) Healthy(ctx context.Context, o *Opened, i *compute.Instance) error {
	c := o.Health.Checker
	if c == nil {
		return nil
	}
	if err := o.Leads(ctx, i); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if e := p.Reaches(ctx, o, i.SourceKey, err); AsUnreachable(e) != nil {
			return e
		}
		return &MisplacedError{err}
	}
	if o.Health.Watch == nil {
		if err := o.Same(ctx, i); err != nil {
			return err
		}
		return c.Check(ctx, i.ID)
	}
	bounded, cancel := context.WithTimeout(ctx, OverseePatience)
	defer cancel()
	err := o.Same(bounded, i)
	if err == nil {
		err = c.Check(bounded, i.ID)
	}
	if err != nil {
		return p.Reaches(ctx, o, i.SourceKey, err)
	}
	return nil
}

// SetUnreachable records that a source does not answer.
func (p *Providers) SetUnreachable(tx store.Tx, key int64, cause error) error {
	rec, err := tx.SourceByKey(key)
	if err != nil {
		return err
	}
	now := time.Now()
	was := allocate.Unreachable(rec)
	if was && rec.Paused.Sub(now) > awayPause*2/3 {
		return nil
	}
	if !was {
		rec.Unreachable = now
	}
	rec.Backoff = inventory.Backoff{Paused: now.Add(awayPause), LastError: fault.Message(cause)}
	if err := tx.SaveSource(rec); err != nil || was {
		return err
	}
	_, err = tx.Append(&compute.Event{Time: now, Kind: "unreachable", Source: rec.Name, Text: fault.Message(cause)})
	return err
}

// SetReached records that a source answers again. Its instances that wait to be discarded are
// discarded now.
func (p *Providers) SetReached(tx store.Tx, key int64) error {
	rec, err := tx.SourceByKey(key)
	if err != nil || !allocate.Unreachable(rec) {
		return err
	}
	rec.Backoff, rec.Unreachable = inventory.Backoff{}, time.Time{}
	if err := tx.SaveSource(rec); err != nil {
		return err
	}
	is, err := tx.Instances(inventory.InstanceQuery{SourceKey: key, States: []compute.State{compute.Discarding, compute.Cleaning}})
	if err != nil {
		return err
	}
	for _, i := range is {
		if i.Retry.IsZero() || Lost(i) {
			continue
		}
		i.Retry = time.Time{}
		if err := tx.SaveInstance(i); err != nil {
			return err
		}
	}
	_, err = tx.Append(&compute.Event{Time: time.Now(), Kind: "reachable", Source: rec.Name})
	return err
}

// RecordHealth records that a computer of a source was found fit: the source answers.
func (p *Providers) RecordHealth(tx store.Tx, key int64) error {
	if o := p.Ready(key); o == nil || o.Health.Watch == nil {
		return nil
	}
	return p.SetReached(tx, key)
}

// Await repeats f while it returns ErrNotReady, with growing pauses, and once more at a time,
// unless that is zero.
func Await(ctx context.Context, patience time.Duration, at time.Time, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := 5 * time.Millisecond
	for {
		err := f(ctx)
		if err == nil || !errors.Is(err, compute.ErrNotReady) {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.Cut(ctx.Err(), err)
		case <-time.After(untilNext(pause, at)):
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// untilNext returns pause, or the time left until at if that is less.
func untilNext(pause time.Duration, at time.Time) time.Duration {
	if left := time.Until(at); left > 0 && left < pause {
		return left
	}
	return pause
}

// CauseOf returns an error's text without its origin; "": nothing.
func CauseOf(err error) string {
	var e *compute.Error
	for err != nil && errors.As(err, &e) {
		err = e.Err
	}
	if _, only := err.(*compute.Kind); err == nil || only {
		return ""
	}
	return fault.Message(err)
}
