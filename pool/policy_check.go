package pool

import (
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/choice"
)

// checkChoice returns an error for an impossible choice, before anything is recorded. For a pool
// that shows when its sources are asked.
func (p *records) checkChoice(ctx context.Context, s *Source, req *compute.Request) error {
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
	_, o, err := p.providers.record(ctx, s)
	if err != nil || o == nil || o.provider == nil {
		return err
	}
	// another user's choice is judged by its name again, while it waits
	if c, err = c.Resolve(ctx, s.Name, o.provider); err == nil && !c.Exact {
		req.Image, req.Flavor, req.Location, req.UserData = c.Image, c.Flavor, c.Location, []byte(c.UserData)
	}
	return err
}

// barredSources returns the sources below s, by name, that may not give a request what it asks
// for: they make nothing for it. The error is set where that is all of them, or where s itself
// does not allow it.
func (p *records) barredSources(s *Source, req compute.Request) (map[string]bool, error) {
	project := p.core.project(req.Project).Limits
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
	open := func(c *Source) bool { return c.Type != allocate.PoolType && !out[c.Name] }
	if first != nil && !slices.ContainsFunc(s.All(), open) {
		return nil, first
	}
	return out, nil
}
