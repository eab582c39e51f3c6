// Package choice is what a request wants other than its source's own: an image, a flavor, a
// location, user data. It finds what their names mean at a provider.
package choice

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
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/provider"
)

// Choice is what a request wants other than its source's own; "": the source's.
type Choice struct {
	Image, Flavor, Location, UserData string

	Exact bool // the names are whole: no beginnings, and no numbers in a list
}

func Of(req compute.Request) Choice {
	c := Choice{Image: req.Image, Flavor: req.Flavor, Location: req.Location, UserData: string(req.UserData)}
	// the policy for others was applied to the names that they gave
	c.Exact = c != Choice{} && !req.Own
	return c
}

// String is for people.
func (c Choice) String() string {
	return demand.Demand{Image: c.Image, Flavor: c.Flavor, Location: c.Location, Data: demand.Digest(c.UserData)}.Choice()
}

// Resolve replaces the names in a choice by what they mean at a provider.
func (c Choice) Resolve(ctx context.Context, source string, of provider.Choice) (Choice, error) {
	for _, part := range []struct {
		kind string
		name *string
	}{{provider.Images, &c.Image}, {provider.Flavors, &c.Flavor}, {provider.Locations, &c.Location}} {
		if *part.name == "" {
			continue
		}
		id, err := Pick(ctx, of.Chooser, part.kind, *part.name, c.Exact)
		if err != nil {
			return c, &allocate.ChoiceError{Err: &compute.Error{ID: compute.ID(source), Kind: fault.KindOf(err), Err: err}}
		}
		*part.name = id
	}
	if err := c.fit(of.UserData); err != nil {
		return c, &allocate.ChoiceError{Err: &compute.Error{
			ID: compute.ID(source), Kind: compute.ErrInvalid, Err: err, Hint: "bundles come there by ssh too: --via ssh",
		}}
	}
	return c, nil
}

// fit compresses user data that is too large for its provider; nil: it takes none.
func (c *Choice) fit(taker provider.UserDataTaker) error {
	if c.UserData == "" {
		return nil
	}
	limit := -1
	if taker != nil {
		limit = taker.UserDataLimit()
	}
	switch {
	case limit < 0:
		return errors.New("its computers take no user data")
	case limit == 0 || len(c.UserData) <= limit:
		return nil
	}
	var small strings.Builder
	w := gzip.NewWriter(&small)
	_, err := io.WriteString(w, c.UserData)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if small.Len() > limit {
		return fmt.Errorf("the user data has %d bytes, %d compressed, and it takes %d", len(c.UserData), small.Len(), limit)
	}
	c.UserData = small.String()
	return nil
}

// Pick returns the id that a name means, or the name where any may be tried. exact: the name must
// be whole, or the id.
func Pick(ctx context.Context, chooser provider.Chooser, kind, name string, exact bool) (string, error) {
	if chooser == nil {
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
		all = slices.DeleteFunc(slices.Clone(all), func(n provider.Named) bool { return n.ID != name && n.Name != name })
	}
	choose := func() (int, error) { return provider.Choose(all, kind, name) }
	if kind == provider.Images {
		choose = func() (int, error) { return provider.ChooseImage(all, name) }
	}
	i, err := choose()
	if n, e := strconv.Atoi(name); err != nil && e == nil && kind != provider.Images && n >= 0 && n < len(all) {
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

// Record records a choice with a new instance.
func (c Choice) Record(i *compute.Instance) {
	if c == (Choice{}) {
		return
	}
	facts := map[string]string{}
	for key, value := range map[string]string{"image": c.Image, "flavor": c.Flavor, "region": c.Location} {
		if value != "" {
			facts[key] = value
		}
	}
	maps.Copy(facts, i.Facts) // the provider knows better
	facts[provider.FactChosen] = c.String()
	i.Facts = facts
}
