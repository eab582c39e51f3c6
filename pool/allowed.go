package pool

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
)

// barred returns the sources below s, by name, of which a request may not have what it asks for: they make nothing for it. The error says why where
// that is all of them, or where s itself does not allow it.
func (p *Pool) barred(s *source, req compute.Request) (map[string]bool, error) {
	project := p.project(req.Project).Limits
	out, open := map[string]bool{}, false
	var first error
	for _, c := range s.all() {
		if c.Type == poolType && c != s {
			continue
		}
		rules := c.Policy
		rules.Name = c.Name
		if c.Type == poolType { // its sources say what may be chosen; what it says itself counts too
			rules = rules.OfPool()
		}
		err := policy.Check(req, rules, project)
		switch {
		case err != nil && c == s:
			return nil, err
		case err != nil:
			out[c.Name] = true
			if first == nil {
				first = err
			}
		case c.Type != poolType:
			open = true
		}
	}
	if !open && first != nil {
		return nil, first
	}
	return out, nil
}
