package compute

import "context"

// FactIdentity is the fact of an instance that says which computer it is, in its provider's words.
const FactIdentity = "identity"

// Recognizer is a provider whose configuration may come to lead to another place than where its
// computers are, and where another computer may come to stand under a name. What it says of a
// computer the lease engine keeps with the instance, and shows it again.
type Recognizer interface {
	// Identity says which computer has a name, as far as is known: before Create where it will be,
	// once it has been entered all of it.
	Identity(ctx context.Context, id ID) (string, error)
	// Leads returns nil when the configuration leads to where a computer of that identity is. Else
	// its name proves nothing: not that it is gone, and not that what has it there is this one.
	// That is ErrUnavailable.
	Leads(ctx context.Context, identity string) error
	// Same returns nil when it leads there, and the computer of that name is that one still.
	// Another under its name is ErrFailed.
	Same(ctx context.Context, id ID, identity string) error
}
