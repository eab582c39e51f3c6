package metal

import (
	"context"
	"time"
)

// Node is a bare-metal machine as a scout saw it.
type Node struct {
	ID     string // as its service knows it
	Name   string // for people; "": it has none
	Flavor string // by Fleet.Flavors; "": nobody knows
	// not to be had: in use, in maintenance, locked, claimed, or otherwise not ours to command
	Provisioned bool
	Cached      bool   // an image is on it or is being written
	Image       string // the id of that image; "": none, or nobody knows
	Writing     bool   // cached, and the image is not there yet
	Used        bool   // provisioned because somebody has it, and not for another reason
	// why the last image that was to be written to it, or wiped, was not, as far as its service
	// tells; "": nothing failed
	Failed string

	BMC, Rack, Conductor string // what it shares with others, for limits; "": nobody knows
	Writes               int    // how often an image was written to it
	// when its image was there or began to be written; zero: nobody knows
	Since  time.Time
	Why    string // why it is provisioned, for people
	Wiping bool   // provisioned because it is being wiped: it is to be had soon
}

// Free reports whether an image may be written to a node.
func (n *Node) Free() bool { return !n.Provisioned && !n.Cached }

// Image is what can be cached.
type Image struct {
	ID       string
	Name     string // by which weights go; several images may have one
	Checksum string // "": it has none
	Created  time.Time
}

// Fleet is all that was seen at a time. Orders count: nodes are ejected in theirs, flavors are
// served in theirs, and of images that are wanted as much the earlier one comes first.
type Fleet struct {
	Nodes   []Node
	Images  []Image
	Flavors []string

	Time time.Time // of looking; zero: nobody knows
	// images that were among Images before, as far as somebody remembers
	Retired []Retired
	// what is asked for in an hour, by flavor and the image's name; nil: nobody knows
	Demand map[string]map[string]float64
}

// Retired is an image that may still be on nodes, and is not to be cached any more.
type Retired struct {
	Image
	At time.Time // when it was found to be gone; zero: nobody knows
}

// Plan is what a strategy wants done. Nothing in it names a node twice.
type Plan struct {
	Eject []string           // nodes, in the order in which it is to be done
	Cache map[string][]Write // by flavor, the most needed first

	// so many at the end of Eject only even things out: nothing is wrong with what is on them
	Rebalance int
}

// Write is an image for a node.
type Write struct{ Node, Image string }

// A Strategy decides what a fleet needs. One may be asked by several goroutines at once, each with
// a fleet of its own, which it does not change.
type Strategy interface {
	Plan(ctx context.Context, f *Fleet) (Plan, error)
}

// A Scout says what there is. Each method reads all anew; an error means that nothing is known.
type Scout interface {
	Nodes(ctx context.Context) ([]Node, error)
	Images(ctx context.Context) ([]Image, error)
	Flavors(ctx context.Context) ([]string, error)
}

// A Commander has a node written or wiped. Both return when the work is begun, or was begun before:
// the scout sees what becomes of it. Told the same again they do nothing more. They refuse, with
// compute.ErrConflict, a node that has become somebody else's meanwhile.
type Commander interface {
	Cache(ctx context.Context, node string, image Image) error
	Eject(ctx context.Context, node string) error
}

// A Resumer is a Commander whose work takes several steps, which it takes by itself for as long as
// it is there.
type Resumer interface {
	// Resume has it go on with what another process left in the middle. Told again it does nothing.
	Resume(ctx context.Context) error
	// Finish waits until all that it has begun, or goes on with, has come to its end, for so long
	// at most or until ctx ends. Whatever the time, each node is looked at once at least, and taken
	// a step further if it can be. It returns the nodes that are left: who resumes goes on with
	// them.
	Finish(ctx context.Context, most time.Duration) (left []string)
}
