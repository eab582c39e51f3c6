package leasing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/choice"
)

// isID reports whether a name has the form of a lease's id: a UUID.
func isID(name string) bool {
	return len(name) == 36 && name[8] == '-' && name[13] == '-' && name[18] == '-' && name[23] == '-'
}

// Check completes a request from its source, and returns an error if it is impossible.
func (p *Records) Check(s *allocate.Source, req *compute.Request) error {
	bad := func(format string, args ...any) error {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case req.Owner == "" || allocate.OwnsAsPool(req.Owner):
		return bad("a lease needs an owner")
	case req.Count < 0:
		return bad("%d instances cannot be asked for", req.Count)
	case req.Name != "" && req.Count != 1:
		return bad("a name is for one lease, not for %d", req.Count)
	case isID(req.Name):
		return bad("a name that looks like a lease's id, such as %q, could be taken for another lease", req.Name)
	case allocate.DemandOf(*req).Amount().Check() != nil:
		return bad("%v", allocate.DemandOf(*req).Amount().Check())
	case s.LongestTTL() > 0 && req.TTL > s.LongestTTL():
		return bad("a ttl of %v was asked for, and its max-ttl is %v", req.TTL, s.LongestTTL())
	}
	if req.TTL == 0 {
		req.TTL = s.TTL
	}
	if most := s.LongestTTL(); req.TTL <= 0 || most > 0 && req.TTL > most {
		req.TTL = most // 0: none
	}
	if req.Idle == 0 {
		req.Idle = cmp.Or(s.LeaseIdle, p.core.Opt.LeaseIdle)
	}
	req.Idle = max(0, req.Idle)
	return nil
}

// Fits returns an error if a request asks for more than a source can ever have.
func (p *Records) Fits(s *allocate.Source, req compute.Request) error {
	if m := p.Maximum(s); m > 0 && req.Count > m && !req.CachedOnly && !s.Share {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("%d asked for, and its maximum is %d", req.Count, m),
			Hint: "ask for fewer, or raise `maximum` in its source.conf"}
	}
	return nil
}

// CheckChoice returns an error for an impossible choice, before anything is recorded. For a pool
// that shows when its sources are asked.
func (p *Records) CheckChoice(ctx context.Context, s *allocate.Source, req *compute.Request) error {
	c := choice.Of(*req)
	if c == (choice.Choice{}) {
		return nil
	}
	if s.Share {
		return &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
			Err: errors.New("its instances are shared, so nobody can choose their image, flavor, location or user data"),
		}
	}
	if s.Type == allocate.PoolType {
		return nil
	}
	_, o, err := p.providers.Record(ctx, s)
	if err != nil || o == nil || o.Provider == nil {
		return err
	}
	// another user's choice is judged by its name again, while it waits
	if c, err = c.Resolve(ctx, s.Name, o.Choice); err == nil && !c.Exact {
		req.Image, req.Flavor, req.Location, req.UserData = c.Image, c.Flavor, c.Location, []byte(c.UserData)
	}
	return err
}

// BarredSources returns the sources below s, by name, that may not give a request what it asks
// for: they make nothing for it. The error is set where that is all of them, or where s itself
// does not allow it.
func (p *Records) BarredSources(s *allocate.Source, req compute.Request) (map[string]bool, error) {
	project := p.core.Project(req.Project).Limits
	out := map[string]bool{}
	var first error
	for _, c := range s.All() {
		rules := c.Policy
		rules.Name = c.Name
		// its sources say what may be chosen; what it says itself counts too
		if c.Type == allocate.PoolType {
			rules = rules.OfPool()
		}
		err := policy.Check(req, rules, project)
		switch {
		case err == nil:
			continue
		case c == s:
			return nil, err
		case first == nil:
			first = err
		}
		for _, below := range c.All() { // reached by another way too: the strictest counts
			out[below.Name] = true
		}
	}
	open := func(c *allocate.Source) bool { return c.Type != allocate.PoolType && !out[c.Name] }
	if first != nil && !slices.ContainsFunc(s.All(), open) {
		return nil, first
	}
	return out, nil
}

// CheckPrice returns an error if a request's price is below that of all instances its source could
// give it, or if no price is known.
func (p *Records) CheckPrice(ctx context.Context, s *allocate.Source, req compute.Request) error {
	switch {
	case req.MaxPrice == 0:
		return nil
	case !(req.MaxPrice > 0):
		return &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("a price of %v for an hour: it must be more than nothing", req.MaxPrice),
		}
	}
	least := 0.0
	for _, c := range s.All() {
		if c.Type == allocate.PoolType {
			continue
		}
		if _, _, err := p.providers.Record(ctx, c); err != nil { // which opens its provider
			return err
		}
		if p.View(nil).Affords(c, req.MaxPrice) {
			return nil
		}
		if c.Price > 0 && (least == 0 || c.Price < least) {
			least = c.Price
		}
	}
	if least > 0 {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Hint: "ask for a higher price, or another source",
			Err: &allocate.TooSmallError{
				Why: fmt.Sprintf("an instance costs %v for an hour, and at most %v is asked for", least, req.MaxPrice),
			}}
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
		Err:  errors.New("nobody knows what an instance costs, so none can be had for at most a price"),
		Hint: "`price` in its source.conf is what one costs for an hour"}
}
