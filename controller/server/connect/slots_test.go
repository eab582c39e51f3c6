package connect

import (
	"context"
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// full is an engine none of whose places is free.
type full struct{ Engine }

var errFull = errors.New("full")

func (full) Slot(context.Context, compute.ID, func(context.Context) (int, error)) (func(), error) {
	return nil, errFull
}

// ran is a connection that says that a command has run.
type ran struct{ compute.Conn }

func (ran) Run(context.Context, *compute.Command) (compute.Exit, error) {
	return compute.Exit{Code: 7}, nil
}

// Where all places are taken commands wait, and who comes back to one that runs does not: it may be
// the one that has the place.
func TestSlots(t *testing.T) {
	c := slots{ran{}, full{}, "web-1"}
	for _, h := range []*compute.Hold{nil, {Run: "r"}, {Run: "r", Keep: true}} {
		if _, err := c.Run(t.Context(), &compute.Command{Hold: h}); !errors.Is(err, errFull) {
			t.Errorf("%+v: got %v, want what the engine says", h, err)
		}
	}
	for _, cmd := range []*compute.Command{{Hold: &compute.Hold{Run: "r", Attach: true}}, {Aside: true}} {
		if exit, err := c.Run(t.Context(), cmd); err != nil || exit.Code != 7 {
			t.Errorf("%+v: exit = %+v, err = %v; want no error and exit.Code == 7", cmd, exit, err)
		}
	}
}
