package fault

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// Cut is the error of waiting for an instance to answer that a context ended. last is why it did
// not answer yet.
func Cut(ended, last error) error {
	if errors.Is(ended, context.Canceled) {
		return &cut{ended, last}
	}
	return errors.Join(ended, last)
}

type cut struct{ ended, last error }

func (c *cut) Error() string { return "interrupted while it booted" }

func (c *cut) Unwrap() []error { return []error{c.ended, c.last} }

// Unleased is the error for an instance that nobody has a lease of, with the way to one.
func Unleased(i *compute.Instance) error {
	e := &compute.Error{
		ID: i.ID, Kind: compute.ErrNotLeased, Err: errors.New("it is " + string(i.State)),
		Hint: "`hostler acquire -s " + i.Source + "` gets one",
	}
	if i.State == compute.Held {
		e.Hint = "it is kept aside: look at it where it is made"
		if i.Address != "" {
			e.Hint += ", at " + i.Address
		}
		e.Hint += "; `hostler discard " + string(i.ID) + "` ends that"
	}
	return e
}
