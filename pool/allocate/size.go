package allocate

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/text/units"
)

// sizeOf returns the least that an instance must have for a request; zeros ask for nothing.
func sizeOf(req compute.Request) compute.Resources {
	return compute.Resources{Cores: max(0, req.Cores), Memory: req.Memory, Disk: req.Disk, GPUs: req.GPUs}
}

// Lacks returns of what an instance is known to have too little, or "". What a provider does not
// tell may be enough.
func Lacks(z compute.Resources, facts map[string]string) string {
	if has, ok := share.SizeOf(facts); ok && has.Micro() < z.Micro() {
		return fmt.Sprintf("it has %v cores, and %v are asked for", has.Cores, z.Cores)
	}
	for _, part := range []struct {
		name  string
		asked int64
	}{{"memory", z.Memory}, {"disk", z.Disk}, {"gpus", int64(z.GPUs)}} {
		has, err := strconv.ParseInt(facts[part.name], 10, 64)
		if err != nil || has >= part.asked {
			continue
		}
		if part.name == "gpus" {
			return fmt.Sprintf("it has %d GPUs, and %d are asked for", has, part.asked)
		}
		return fmt.Sprintf("it has %s of %s, and %s is asked for", units.FormatSize(has), part.name, units.FormatSize(part.asked))
	}
	return ""
}

// lackedBy reports whether an instance, or the real one behind it, is known to be too small.
func lackedBy(r Reader, z compute.Resources, i *compute.Instance) (bool, error) {
	if z == (compute.Resources{}) {
		return false, nil
	}
	for i.Child != "" {
		child, err := r.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		i = child
	}
	return Lacks(z, i.Facts) != "", nil
}

// TooSmallError says that an instance cannot be what was asked for, now or later. Its kind is
// ErrNoCapacity.
type TooSmallError struct{ Why string }

func (e *TooSmallError) Error() string { return e.Why }

// ChoiceError says that a choice cannot be had, now or later.
type ChoiceError struct{ Err error }

func (e *ChoiceError) Error() string { return e.Err.Error() }
func (e *ChoiceError) Unwrap() error { return e.Err }

// NeverFits returns the first error that contains an TooSmallError, or the provider's
// equivalent, or nil.
func NeverFits(errs ...error) error {
	for _, err := range errs {
		var e *TooSmallError
		var c *ChoiceError
		if errors.As(err, &e) || errors.As(err, &c) || errors.Is(err, compute.ErrTooLarge) {
			return err
		}
	}
	return nil
}

// neverFits returns an error if waiting does not help. That is when a source can make no more
// instances, all that it has are known to be too small, and none will be replaced: they stay, or
// are shared.
func (d *allocation) neverFits(s *Source) error {
	if d.asks.Amount() == (compute.Resources{}) && !s.Share {
		return nil
	}
	seen := 0
	for _, c := range s.All() {
		if c.Type == PoolType {
			continue
		}
		if !s.Share && d.known.replaceable(d.view.KeyOf(c)) {
			return nil
		}
		r, err := d.known.record(c)
		if err != nil {
			return err
		}
		if m := d.view.Maximum(c); m == 0 || r.Counts.Present() < m {
			return nil
		}
		is, err := d.plan.Instances(inventory.InstanceQuery{SourceKey: r.Key})
		if err != nil {
			return err
		}
		for _, i := range is {
			if d.known.mayFitOn(s, i, d.asks) {
				return nil
			}
			seen++
		}
	}
	if seen == 0 {
		return nil
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Hint: "ask for less, or another source",
		Err: &TooSmallError{fmt.Sprintf("all of the %d instances that it may have are smaller than what is asked for", seen)}}
}

// likely returns the least size of a new instance of a source, by what it made last or its
// configuration.
func (v *View) likely(s *Source) (z compute.Resources) {
	if s.Type != PoolType {
		if has, known := v.MadeLast(v.KeyOf(s)); known {
			return has
		}
		return s.Size
	}
	for n, c := range s.below {
		has := v.likely(c)
		if n == 0 {
			z = has
		}
		z.Cores, z.Memory = min(z.Cores, has.Cores), min(z.Memory, has.Memory)
	}
	return z
}
