package metal

import (
	"context"
	"time"
)

// Node is a bare-metal machine as a scout saw it.
type Node struct {
	ID     string // the id that its service uses
	Name   string // for people; "": it has none
	Flavor string // one of Fleet.Flavors; "": not known
	// not available: in use, in maintenance, locked, claimed, or otherwise not ours to command
	Provisioned bool
	Cached      bool   // an image is on it or is being written
	Image       string // the id of that image; "": none, or not known
	Writing     bool   // cached, but the image is still being written
	Used        bool   // provisioned because a user has it, and for no other reason
	// why the last write or wipe of the node failed, as far as its service tells; "": it did not
	Failed string

	BMC, Rack, Conductor string // what it shares with other nodes, for limits; "": not known
	Writes               int    // how often images were written to it
	// when its image was ready or its writing began; zero: not known
	Since  time.Time
	Why    string // why it is provisioned, for people
	Wiping bool   // provisioned because it is being wiped: it is available soon
}

// Free reports whether an image may be written to a node.
func (n *Node) Free() bool { return !n.Provisioned && !n.Cached }

// Image is an image that can be cached.
type Image struct {
	ID       string
	Name     string // the name that weights use; several images may have one
	Checksum string // "": it has none
	Created  time.Time
}

// Fleet is all that was seen at one time. The order of its lists counts: nodes are ejected in
// order, flavors are served in order, and of equally wanted images the earlier one comes first.
type Fleet struct {
	Nodes   []Node
	Images  []Image
	Flavors []string

	Time time.Time // when it was read; zero: not known
	// images that were among Images before, as far as is known
	Retired []Retired
	// requests an hour, by flavor and the image's name; nil: not known
	Demand map[string]map[string]float64
}

// Retired is an image that may still be on nodes, and is not to be cached any more.
type Retired struct {
	Image
	At time.Time // when it was found to be gone; zero: not known
}

// Plan is what a strategy wants done. It names each node at most once.
type Plan struct {
	Eject []string           // ids of nodes, in the order in which to eject them
	Cache map[string][]Write // by flavor, the most needed first

	// how many at the end of Eject only even things out: nothing is wrong with their images
	Rebalance int
}

// Write is an image, by its id, for a node, by its id.
type Write struct{ Node, Image string }

// A Strategy decides what a fleet needs. Plan may be called at once by several goroutines, each
// with a fleet of its own. It does not change the fleet.
type Strategy interface {
	// Plan returns what is to be done with the fleet.
	Plan(ctx context.Context, f *Fleet) (Plan, error)
}

// A Scout reads what there is. Each method reads everything anew. An error means that nothing is
// known.
type Scout interface {
	// Nodes returns all nodes, also those that are not available.
	Nodes(ctx context.Context) ([]Node, error)
	// Images returns the images that may be cached.
	Images(ctx context.Context) ([]Image, error)
	// Flavors returns the flavors to keep ready.
	Flavors(ctx context.Context) ([]string, error)
}

// A Commander has nodes written or wiped. Both methods return when the work has begun, or had begun
// before; the scout sees the result. Repeated calls do nothing more. They return
// compute.ErrConflict for a node that meanwhile belongs to another user.
type Commander interface {
	// Cache has an image written to a node.
	Cache(ctx context.Context, node string, image Image) error
	// Eject has a node wiped.
	Eject(ctx context.Context, node string) error
}

// A Resumer is a Commander whose work takes several steps. It takes them by itself as long as it
// runs.
type Resumer interface {
	// Resume goes on with what another process left unfinished. A repeated call does nothing.
	Resume(ctx context.Context) error
	// Finish waits until all work that was begun or resumed has ended, for most at most or until
	// ctx ends. It looks at each node at least once, and takes it a step further if possible. It
	// returns the nodes that are left, for a later Resume.
	Finish(ctx context.Context, most time.Duration) (left []string)
}
