package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// over is what a client has of an error, after JSON.
func over(t *testing.T, p api.Problem) error {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back api.Problem
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back.Err()
}

// TestProblem: an error says the same on both sides, is of the same kind and has the same hint.
func TestProblem(t *testing.T) {
	inner := &compute.Error{Op: "fake.Create", ID: "web-1", Kind: compute.ErrTooLarge, Err: errors.New("8 cores"), Hint: "ask for fewer"}
	for _, test := range []struct {
		err  error
		kind error
		text string
	}{
		{
			&compute.Error{ID: "web", Kind: compute.ErrNoCapacity, Err: errors.New("2 in use")}, compute.ErrNoCapacity,
			"web: no capacity: 2 in use",
		},
		{
			&compute.Error{Op: "pool.Acquire", ID: "web", Kind: compute.ErrNoCapacity, Err: inner}, compute.ErrTooLarge,
			"web: web-1: no capacity: 8 cores",
		},
		{&compute.Error{Kind: compute.ErrInvalid, Err: errors.New("odd"), Hint: "even"}, compute.ErrInvalid, "odd"},
		{&compute.Error{ID: "web-1", Kind: compute.ErrNotLeased}, compute.ErrNotLeased, "web-1: not acquired"},
		{fmt.Errorf("create: %w", inner), compute.ErrTooLarge, "create: web-1: no capacity: 8 cores"},
		{
			fmt.Errorf(
				"read: %w",
				&compute.Error{ID: "a", Kind: compute.ErrFailed, Err: &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}},
			),
			compute.ErrFailed, "read: a: /x: file does not exist",
		},
		{compute.ErrStale, compute.ErrStale, "stale"},
		{fmt.Errorf("look: %w", context.DeadlineExceeded), compute.ErrTimeout, "timed out: look: context deadline exceeded"},
		{
			&compute.Error{ID: "web-1", Kind: compute.ErrNotLeased, Err: compute.Ended(errors.New("the lease has ended: evicted"))},
			compute.ErrNotLeased, "web-1: not acquired: the lease has ended: evicted",
		},
		{errors.Join(compute.ErrDenied, errors.New("a line")), compute.ErrDenied, "permission denied; a line"},
	} {
		for _, p := range []api.Problem{api.NewProblem(test.err), api.PlainProblem(test.err)} {
			back := over(t, p)
			if got := api.Text(back); got != test.text {
				t.Errorf("%v\n got %q\nwant %q", test.err, got, test.text)
			}
			if !errors.Is(back, test.kind) || compute.Hint(back) != compute.Hint(test.err) ||
				errors.Is(back, compute.ErrEnded) != errors.Is(test.err, compute.ErrEnded) {
				t.Errorf("%v came over as %v with the hint %q", test.err, back, compute.Hint(back))
			}
		}
	}
}

// TestInternal: what has no kind is told to those alone who may read the log.
func TestInternal(t *testing.T) {
	err := errors.New("the password is sesame")
	if p := api.NewProblem(err); strings.Contains(p.Detail, "sesame") || p.Status != 500 || p.Code != "failed" {
		t.Errorf("a stranger hears %+v", p)
	}
	if p := api.PlainProblem(err); p.Detail != err.Error() || p.Status != 500 {
		t.Errorf("the controller's own user hears %+v", p)
	}
}

// TestProblemOfSeveral: several errors come over each by itself, in their order.
func TestProblemOfSeveral(t *testing.T) {
	one := &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("a:1: no such key")}
	two := &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("a:3: no number"), Hint: "mend it"}
	err := over(t, api.NewProblem(errors.Join(one, two)))
	all := api.Apart(err)
	if len(all) != 2 || api.Text(all[0]) != api.Text(one) || api.Text(all[1]) != api.Text(two) ||
		compute.Hint(all[1]) != "mend it" || !errors.Is(err, compute.ErrInvalid) || api.Text(err) != "a:1: no such key; a:3: no number" {
		t.Errorf("%d errors: %q, hint %q", len(all), api.Text(err), compute.Hint(err))
	}
	if all := api.Apart(over(t, api.NewProblem(errors.Join(one, errors.New("b"))))); len(all) != 1 {
		t.Errorf("of an error of another kind: %q", all)
	}
}
