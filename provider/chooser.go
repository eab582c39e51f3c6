package provider

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// The kinds of things that Chooser.Choices lists.
const (
	Images    = "images"
	Flavors   = "flavors"
	Locations = "locations"
)

// Choice is what a request may choose of a provider's computers.
type Choice struct {
	Chooser  Chooser
	UserData UserDataTaker
	// Prices reports whether the provider knows what each kind of its computers costs, as this
	// source is configured: its method Prices. Then it keeps to Spec.MaxPrice: it makes no computer
	// that costs more, or whose price is unknown.
	Prices bool
}

// Chooser is a provider that makes computers of what a Spec names: an image, a flavor, a location.
// Other providers take no choice.
type Chooser interface {
	// Choices lists what the provider offers of a kind. open says that there is more than is
	// listed: any name may be tried, and Create reports a wrong one. ErrInvalid: there is no choice
	// of this kind.
	Choices(ctx context.Context, kind string) (all []Named, open bool, err error)
}

// UserDataTaker is a provider whose computers take cloud-init user data at their first boot, plain
// or compressed by gzip.
type UserDataTaker interface {
	// UserDataLimit returns how many bytes it takes, as this source is configured. 0: no limit;
	// below 0: it takes none. It does no I/O.
	UserDataLimit() int
}

func choiceOf(p compute.Provider) (c Choice) {
	c.Chooser, _ = As[Chooser](p)
	c.UserData, _ = As[UserDataTaker](p)
	if v, ok := As[interface{ Prices() bool }](p); ok {
		c.Prices = v.Prices()
	}
	return c
}
