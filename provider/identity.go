package provider

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// Identifier is a provider that can tell its computers from others of the same name. Its
// configuration may later lead to another place, or another computer may get a name. The engine
// keeps a computer's identity with the instance, and gives it back to the provider's methods.
type Identifier interface {
	// Identity returns the identity of the computer of a name, as far as is known. Before Create
	// that is the place where it will be; after the first connection it is complete.
	Identity(ctx context.Context, id compute.ID) (string, error)
	// Leads returns nil when the configuration leads to the place of a computer of that identity.
	// Else it returns ErrUnavailable: then a name proves nothing, neither that the computer is gone
	// nor that another one is it.
	Leads(ctx context.Context, identity string) error
	// Same returns nil when the configuration leads to that place, and the name is still that
	// computer's. Another computer under its name is ErrFailed.
	Same(ctx context.Context, id compute.ID, identity string) error
}
