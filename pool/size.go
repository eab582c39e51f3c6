package pool

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/store"
)

// size is the least that an instance must have for a request; zeros ask for nothing.
type size compute.Amount

func sizeOf(req compute.Request) size {
	return size{Cores: max(0, req.Cores), Memory: req.Memory, Disk: req.Disk, GPUs: req.GPUs}
}

// lacks returns of what an instance is known to have too little, or "". What a provider does not
// tell may be enough.
func (z size) lacks(facts map[string]string) string {
	if has, ok := compute.AmountOf(facts); ok && has.Micro() < compute.Amount(z).Micro() {
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
		return fmt.Sprintf("it has %d bytes of %s, and %d are asked for", has, part.name, part.asked)
	}
	return ""
}

// lackedBy reports whether an instance, or the real one behind it, is known to be too small.
func (z size) lackedBy(tx store.Tx, i *compute.Instance) (bool, error) {
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

// errSmall says that an instance cannot be what was asked for, now or later. Its kind is
// ErrNoCapacity.
type errSmall struct{ why string }

func (e *errSmall) Error() string { return e.why }

// small returns the first error that contains an errSmall, or the provider's equivalent, or nil.
func small(errs ...error) error {
	for _, err := range errs {
		var e *errSmall
		var c *errChoice
		if errors.As(err, &e) || errors.As(err, &c) || errors.Is(err, compute.ErrTooLarge) {
			return err
		}
	}
	return nil
}

// mayDo reports whether an instance is, or may be, large enough.
func (d *draw) mayDo(s *source, i *compute.Instance) bool {
	if !s.Share {
		return d.least.lacks(i.Facts) == ""
	}
	if i.State == compute.Creating || i.State == compute.SettingUp {
		return true // its size is not known yet
	}
	has, known := compute.AmountOf(i.Facts)
	return known && share.Of(has).Has(compute.Amount(d.least))
}

// outgrown returns an error if waiting does not help. That is when a source can make no more
// instances, all that it has are known to be too small, and none will be replaced: they stay, or
// are shared.
func (d *draw) outgrown(s *source) error {
	if d.least == (size{}) && !s.Share {
		return nil
	}
	seen := 0
	for _, c := range s.all() {
		if c.Type == poolType {
			continue
		}
		if !s.Share && d.gives(d.p.keyOf(c)) {
			return nil
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
			if d.mayDo(s, i) {
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

// learnSize notes the size of an instance that was made as its source says. The next one is assumed
// to have it until it tells its own.
func (p *Pool) learnSize(u *unit) {
	has, known := compute.AmountOf(u.inst.Facts)
	if !known || u.choice != (choice{}) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sizes == nil {
		p.sizes = map[int64]compute.Amount{}
	}
	p.sizes[u.inst.SourceKey] = has
}

// learnt returns the size of what a source made last; known is false if no instance has told its
// size.
func (p *Pool) learnt(key int64) (has compute.Amount, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	has, known = p.sizes[key]
	return has, known
}

// likely returns the least size of a new instance of a source, by what it made last or its
// configuration.
func (p *Pool) likely(s *source) (z compute.Amount) {
	if s.Type != poolType {
		p.mu.Lock()
		has, known := p.sizes[s.key]
		p.mu.Unlock()
		if known {
			return has
		}
		return s.Size
	}
	for n, c := range s.children {
		has := p.likely(c)
		if n == 0 {
			z = has
		}
		z.Cores, z.Memory = min(z.Cores, has.Cores), min(z.Memory, has.Memory)
	}
	return z
}
