package compute

import "context"

// A Spec says which computer to make. Zero fields of size and price ask for nothing.
type Spec struct {
	ID           ID     // the name: also the tag, label or directory by which it is found again
	Source       string // the source's name
	Installation string // the installation's id, put on whatever is made
	Image        string // "" for the source's own
	Flavor       string // "" for the source's own
	Location     string // "" for the source's own
	Cores        int    // at least so many; 0: any
	Memory       int64  // bytes, at least; 0: any
	Disk         int64  // bytes, at least; 0: any
	GPUs         int    // at least so many; 0: any
	// the most that it may cost for an hour; 0: any; only for a Pricer that has prices
	MaxPrice float64
	// cloud-init user data for its first boot; only for a UserDataTaker
	UserData []byte
}

// A Provider makes computers and destroys them. It does no limits, reuse, queues or retries. It
// keeps no state that the store does not have: everything comes by argument or was given to its
// constructor. All methods may be called at once from many goroutines.
type Provider interface {
	// Create starts a computer named spec.ID. Called again with that ID it returns the same one. It
	// returns ErrNoCapacity when a quota or the place is full. The computer may still be booting on
	// return. Unasked marks an error from before the place was asked: then there is nothing to
	// destroy.
	Create(ctx context.Context, spec Spec) (Instance, error)
	// Destroy asks for the computer's end. nil only means asked: ErrNotFound alone proves the end,
	// so callers repeat.
	Destroy(ctx context.Context, id ID) error
	// List returns every computer that this installation made through this source and that still
	// exists, ready or not.
	List(ctx context.Context) ([]Instance, error)
	// Connect opens a connection, or returns ErrNotReady while the computer is booting. The caller
	// closes it.
	Connect(ctx context.Context, id ID) (Conn, error)
}
