package strategy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
)

// External is a strategy that runs an external program. The program reads a case in the JSON form,
// on one line, and prints an Answer. Each decision starts it anew. The answer is checked against
// the fleet. If it names a node that is not available, or twice, Plan returns an error, and nothing
// of it counts.
type External struct {
	Path     string            // the executable
	Settings map[string]string // what it gets beside the case
	Case     Proportional      // the settings of the built-in strategy, which are in the case too
	Timeout  time.Duration     // for an answer; 0: a minute
	Most     int               // bytes of an answer; 0: 64 MiB
}

var _ metal.Strategy = (*External)(nil)

// FindExternal looks for the executable hostler-strategy-NAME on PATH.
func FindExternal(name string) (string, error) {
	return Find("strategy", name, "proportional is built in; any other")
}

// Plan runs the program and returns its plan.
func (o *External) Plan(ctx context.Context, f *metal.Fleet) (metal.Plan, error) {
	fail := func(kind, err error, hint string) (metal.Plan, error) {
		return metal.Plan{}, &compute.Error{Op: "strategy", ID: compute.ID(o.Path), Kind: kind, Err: err, Hint: hint}
	}
	if err := o.Case.Check(); err != nil {
		return metal.Plan{}, err
	}
	in, err := (&Case{Strategy: o.Case, Fleet: *f, Settings: o.Settings}).Form()
	if err != nil {
		return fail(compute.ErrFailed, err, "")
	}
	out, said, err := (&Program{Path: o.Path, Timeout: o.Timeout, Most: o.Most}).Ask(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return metal.Plan{}, ctx.Err()
		}
		return fail(nil, err, "")
	}
	a, err := parseAnswer(out)
	if err != nil {
		return fail(compute.ErrFailed, fmt.Errorf("its answer: %w%s", err, said), "docs/director-metal.md has the form")
	}
	plan, err := a.Plan(f)
	if err != nil {
		return fail(compute.ErrFailed, fmt.Errorf("its answer: %w%s", err, said), "")
	}
	return plan, nil
}

// parseAnswer reads an Answer of the JSON form.
func parseAnswer(data []byte) (a Answer, err error) {
	if err = Parse(data, &a, true); err == nil && (a.Eject == nil || a.Cache == nil) {
		err = errors.New("it lacks eject or cache")
	}
	return a, err
}
