package pool

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
)

// barred returns the sources below s, by name, that may not give a request what it asks for: they
// make nothing for it. The error is set where that is all of them, or where s itself does not allow
// it.
func (p *Pool) barred(s *source, req compute.Request) (map[string]bool, error) {
	project := p.project(req.Project).Limits
	out := map[string]bool{}
	var first error
	for _, c := range s.all() {
		rules := c.Policy
		rules.Name = c.Name
		// its sources say what may be chosen; what it says itself counts too
		if c.Type == poolType {
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
		for _, below := range c.all() { // reached by another way too: the strictest counts
			out[below.Name] = true
		}
	}
	open := func(c *source) bool { return c.Type != poolType && !out[c.Name] }
	if first != nil && !slices.ContainsFunc(s.all(), open) {
		return nil, first
	}
	return out, nil
}
