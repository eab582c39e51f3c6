package pool

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// size is the least that an instance must have for a request; zeros ask for nothing.
type size struct {
	cores        int
	memory, disk int64 // bytes
}

func sizeOf(req compute.Request) size { return size{req.Cores, req.Memory, req.Disk} }

// lacks says of what an instance is known to have too little, or "". What a provider does not tell may be enough.
func (z size) lacks(facts map[string]string) string {
	for _, part := range []struct {
		name  string
		asked int64
	}{{"cores", int64(z.cores)}, {"memory", z.memory}, {"disk", z.disk}} {
		has, err := strconv.ParseInt(facts[part.name], 10, 64)
		if err != nil || has >= part.asked {
			continue
		}
		if part.name == "cores" {
			return fmt.Sprintf("it has %d cores, and %d are asked for", has, part.asked)
		}
		return fmt.Sprintf("it has %d bytes of %s, and %d are asked for", has, part.name, part.asked)
	}
	return ""
}

// lackedBy tells whether an instance, or the real one behind it, is known to be too small.
func (z size) lackedBy(tx compute.Tx, i *compute.Instance) (bool, error) {
	if z == (size{}) {
		return false, nil
	}
	for i.Child != "" {
		child, err := tx.Instance(i.Child)
		if errors.Is(err, compute.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		i = child
	}
	return z.lacks(i.Facts) != "", nil
}

// errSmall says that an instance cannot be what was asked for, now or later. Its kind is ErrNoCapacity.
type errSmall struct{ why string }

func (e *errSmall) Error() string { return e.why }

// small returns the first error that has an errSmall in it, or a provider's word for the same, or nil.
func small(errs ...error) error {
	for _, err := range errs {
		var e *errSmall
		if errors.As(err, &e) || errors.Is(err, compute.ErrTooLarge) {
			return err
		}
	}
	return nil
}

// outgrown returns an error when a source can make no more instances, and all that it has are known to be too small. Then it does not help to wait.
func (d *draw) outgrown(s *source) error {
	if d.least == (size{}) {
		return nil
	}
	seen := 0
	for _, c := range s.all() {
		if c.Type == poolType {
			continue
		}
		r, err := d.record(c)
		if err != nil {
			return err
		}
		if m := d.p.maximum(c); m == 0 || r.Counts.Present() < m {
			return nil
		}
		is, err := d.tx.Instances(compute.InstanceQuery{SourceKey: r.Key})
		if err != nil {
			return err
		}
		for _, i := range is {
			if d.least.lacks(i.Facts) == "" {
				return nil
			}
			seen++
		}
	}
	if seen == 0 {
		return nil
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Hint: "ask for less, or another source",
		Err: &errSmall{fmt.Sprintf("all of the %d instances that it may have are smaller than what is asked for", seen)}}
}
