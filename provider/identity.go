package provider

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// Identity is what tells a provider's computers from others of the same name. Its configuration may
// later lead to another place, or another computer may get a name. The engine keeps a computer's
// identity with the instance, and gives it back to the provider. A provider has all three methods,
// the first as Identity, or none.
type Identity struct {
	// Of returns the identity of the computer of a name, as far as is known. Before Create that is
	// the place where it will be; after the first connection it is complete.
	Of func(ctx context.Context, id compute.ID) (string, error)
	// Leads returns nil when the configuration leads to the place of a computer of that identity.
	// Else it returns ErrUnavailable: then a name proves nothing, neither that the computer is gone
	// nor that another one is it.
	Leads func(ctx context.Context, identity string) error
	// Same returns nil when the configuration leads to that place, and the name is still that
	// computer's. Another computer under its name is ErrFailed.
	Same func(ctx context.Context, id compute.ID, identity string) error
}

func identityOf(p compute.Provider) Identity {
	v, ok := As[interface {
		Identity(context.Context, compute.ID) (string, error)
		Leads(context.Context, string) error
		Same(context.Context, compute.ID, string) error
	}](p)
	if !ok {
		return Identity{}
	}
	return Identity{v.Identity, v.Leads, v.Same}
}
