package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider"
)

// TestSaid: people are told of the thing, and not by what names our code calls what it does,
// however deep that is.
func TestSaid(t *testing.T) {
	inner := &compute.Error{Op: "kubernetes.Connect", ID: "pods-118", Kind: compute.ErrNoCapacity, Err: errors.New("no node takes the pod")}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{inner, "pods-118: no capacity: no node takes the pod"},
		{
			&compute.Error{Op: "connect", ID: "pods-118", Kind: compute.ErrNoCapacity, Err: inner},
			"connect: pods-118: no capacity: no node takes the pod",
		},
		{fmt.Errorf("after 3 tries: %w", inner), "after 3 tries: pods-118: no capacity: no node takes the pod"},
		{errors.Join(inner, errors.New("b")), "pods-118: no capacity: no node takes the pod\nb"},
		{provider.Unasked(&compute.Error{
			Op: "create", ID: "away-1", Kind: compute.ErrUnavailable,
			Err: &compute.Error{Op: "kubernetes.Same", ID: "away-1", Kind: compute.ErrUnavailable, Err: errors.New("connection refused")},
		}),
			"create: away-1: unavailable: connection refused"},
		{compute.ErrTimeout, "timed out"},
	} {
		if got := fault.Message(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
