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

// Pricer is a provider that may know what each kind of its computers costs. Then it keeps to
// Spec.MaxPrice: it makes no computer that costs more, or whose price is unknown.
type Pricer interface {
	// Prices reports whether it knows prices, as this source is configured. It does no I/O.
	Prices() bool
}

// Prober is a provider that can say, before it makes anything, what would prevent it.
type Prober interface {
	// Probe checks, cheaply and changing nothing, what a computer of spec needs. It ignores
	// spec.ID. An error says why no computer could be made now. note is what the user should know
	// where one could, such as that something has to be fetched first; "": nothing. What Probe does
	// not check may still fail.
	Probe(ctx context.Context, spec compute.Spec) (note string, err error)
}
