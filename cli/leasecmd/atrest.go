package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// AtRest waits for instances that other processes are cleaning or discarding. It returns an error
// for each that is then neither clean nor gone.
func AtRest(a *cli.App, ctx context.Context, engine cli.Engine, ids []compute.ID) error {
	var errs []error
	for _, id := range ids {
		i, _, err := engine.Resolve(ctx, string(id))
		for err == nil && a.Moving(i) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
			i, _, err = engine.Resolve(ctx, string(id))
		}
		switch {
		case errors.Is(err, compute.ErrNotFound):
		case err != nil:
			errs = append(errs, err)
		case i.State == compute.Cleaning || i.State == compute.Discarding || i.State == compute.Failed:
			errs = append(errs, unrest(i))
		}
	}
	return errors.Join(errs...)
}

// unrest is the error for an instance that is neither clean nor gone.
func unrest(i compute.Instance) error {
	e := &compute.Error{
		ID: i.ID, Kind: compute.ErrFailed, Err: fmt.Errorf("it is %s still", i.State),
		Hint: "it is tried again; `hostler status -v` shows how it stands",
	}
	if why := i.Why(); why != "" {
		e.Err = fmt.Errorf("it is %s still: %s", i.State, why)
	}
	if wait := time.Until(i.Retry); wait > 0 {
		e.Hint = fmt.Sprintf(
			"it is tried again, in %s or later, until the place says that it is gone; `hostler discard %s` tries it at once",
			term.ShortDuration(wait.Round(time.Second)), i.ID,
		)
	}
	return e
}
