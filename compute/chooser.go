package compute

import "context"

// The kinds of things that a Chooser lets choose.
const (
	Images    = "images"
	Flavors   = "flavors"
	Locations = "locations"
)

// FactChosen is the fact of an instance that was made otherwise than its source says, for a request
// that chose: what was chosen. Such an instance is not used again.
const FactChosen = "chosen"

// Chooser is a provider that makes computers of what a Spec names: an image, a flavor, a location.
// One that is none takes no choice.
type Chooser interface {
	// Choices lists what there is of a kind. open says that there is more than is listed, so that
	// any name may be tried and Create says what is wrong with it. ErrInvalid: there is nothing of
	// this kind to choose.
	Choices(ctx context.Context, kind string) (all []Named, open bool, err error)
}
