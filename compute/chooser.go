package compute

import "context"

// The kinds of things that Chooser.Choices lists.
const (
	Images    = "images"
	Flavors   = "flavors"
	Locations = "locations"
)

// FactChosen is the fact of an instance that was made otherwise than its source says, for a request
// that chose: its value is the choice. Such an instance is not used again.
const FactChosen = "chosen"

// Chooser is a provider that makes computers of what a Spec names: an image, a flavor, a location.
// Other providers take no choice.
type Chooser interface {
	// Choices lists what the provider offers of a kind. open says that there is more than is
	// listed: any name may be tried, and Create reports a wrong one. ErrInvalid: there is no choice
	// of this kind.
	Choices(ctx context.Context, kind string) (all []Named, open bool, err error)
}
