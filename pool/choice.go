package pool

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
)

// String is for people.
func (c choice) String() string {
	return demand.Demand{Image: c.image, Flavor: c.flavor, Location: c.location, Data: demand.Digest(c.userData)}.Choice()
}

// resolve replaces the names in a choice by what they mean.
func (c choice) resolve(ctx context.Context, source string, p compute.Provider) (choice, error) {
	for _, part := range []struct {
		kind string
		name *string
	}{{compute.Images, &c.image}, {compute.Flavors, &c.flavor}, {compute.Locations, &c.location}} {
		if *part.name == "" {
			continue
		}
		id, err := pick(ctx, p, part.kind, *part.name, c.exact)
		if err != nil {
			return c, &allocate.ChoiceError{Err: &compute.Error{ID: compute.ID(source), Kind: kindOf(err), Err: err}}
		}
		*part.name = id
	}
	if err := c.fit(p); err != nil {
		return c, &allocate.ChoiceError{Err: &compute.Error{
			ID: compute.ID(source), Kind: compute.ErrInvalid, Err: err, Hint: "bundles come there by ssh too: --via ssh",
		}}
	}
	return c, nil
}

// fit compresses user data that is too large for its provider.
func (c *choice) fit(p compute.Provider) error {
	if c.userData == "" {
		return nil
	}
	limit := -1
	if t, ok := compute.As[compute.UserDataTaker](p); ok {
		limit = t.UserDataLimit()
	}
	switch {
	case limit < 0:
		return errors.New("its computers take no user data")
	case limit == 0 || len(c.userData) <= limit:
		return nil
	}
	var small strings.Builder
	w := gzip.NewWriter(&small)
	_, err := io.WriteString(w, c.userData)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if small.Len() > limit {
		return fmt.Errorf("the user data has %d bytes, %d compressed, and it takes %d", len(c.userData), small.Len(), limit)
	}
	c.userData = small.String()
	return nil
}

// pick returns the id that a name means, or the name where any may be tried. exact: the name must
// be whole, or the id.
func pick(ctx context.Context, p compute.Provider, kind, name string, exact bool) (string, error) {
	chooser, ok := compute.As[compute.Chooser](p)
	if !ok {
		return "", &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("it has no %s to choose from", kind),
			Hint: "its source.conf says what its computers are",
		}
	}
	all, open, err := chooser.Choices(ctx, kind)
	if err != nil {
		return "", err
	}
	if exact {
		all = slices.DeleteFunc(slices.Clone(all), func(n compute.Named) bool { return n.ID != name && n.Name != name })
	}
	choose := func() (int, error) { return compute.Choose(all, kind, name) }
	if kind == compute.Images {
		choose = func() (int, error) { return compute.ChooseImage(all, name) }
	}
	i, err := choose()
	if n, e := strconv.Atoi(name); err != nil && e == nil && kind != compute.Images && n >= 0 && n < len(all) {
		i, err = n, nil // its number in the list
	}
	switch {
	case err == nil && all[i].ID != "":
		return all[i].ID, nil
	case err == nil:
		return all[i].Name, nil
	case open && errors.Is(err, compute.ErrNotFound):
		return name, nil
	}
	return "", err
}

// checkChoice returns an error for an impossible choice, before anything is recorded. For a pool
// that shows when its sources are asked.
func (p *Pool) checkChoice(ctx context.Context, s *Source, req *compute.Request) error {
	c := choiceOf(*req)
	if c == (choice{}) {
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
	_, o, err := p.record(ctx, s)
	if err != nil || o == nil || o.provider == nil {
		return err
	}
	// another user's choice is judged by its name again, while it waits
	if c, err = c.resolve(ctx, s.Name, o.provider); err == nil && !c.exact {
		req.Image, req.Flavor, req.Location, req.UserData = c.image, c.flavor, c.location, []byte(c.userData)
	}
	return err
}

// note records a choice with a new instance.
func (c choice) note(i *compute.Instance) {
	if c == (choice{}) {
		return
	}
	facts := map[string]string{}
	for key, value := range map[string]string{"image": c.image, "flavor": c.flavor, "region": c.location} {
		if value != "" {
			facts[key] = value
		}
	}
	maps.Copy(facts, i.Facts) // the provider knows better
	facts[compute.FactChosen] = c.String()
	i.Facts = facts
}

// barredSources returns the sources below s, by name, that may not give a request what it asks
// for: they make nothing for it. The error is set where that is all of them, or where s itself
// does not allow it.
func (p *Pool) barredSources(s *Source, req compute.Request) (map[string]bool, error) {
	project := p.project(req.Project).Limits
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
