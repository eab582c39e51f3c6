package fault

import (
	"context"
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// TestCut says in one line that a wait was interrupted, and keeps both causes.
func TestCut(t *testing.T) {
	err := Cut(context.Canceled, compute.ErrNotReady)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, compute.ErrNotReady) || err.Error() != "interrupted while it booted" {
		t.Errorf("got %q, want an interruption with both causes", err)
	}
	if err := Cut(context.DeadlineExceeded, compute.ErrNotReady); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %q, want that the time is over", err)
	}
}

// TestUnleased leads to a lease, and for what is held to the place where it stands.
func TestUnleased(t *testing.T) {
	for state, want := range map[compute.State]string{
		compute.Ready: "`hostler acquire -s web` gets one",
		compute.Held:  "it is kept aside: look at it where it is made, at 10.0.0.3; `hostler discard web-1` ends that",
	} {
		err := Unleased(&compute.Instance{ID: "web-1", Source: "web", State: state, Address: "10.0.0.3"})
		if got := compute.Hint(err); got != want || !errors.Is(err, compute.ErrNotLeased) {
			t.Errorf("%s: %v, hint %q, want %q", state, err, got, want)
		}
	}
}
