package strategy

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
)

// Proportional is the strategy that caches images on a share of each flavor's available nodes, in
// proportion to the images' weights.
//
// Nodes with an image that is not current are stale, and ejected. Cached nodes beyond the goal, or
// out of proportion, stay unless Rebalance is set. All arithmetic but Share times a number of nodes
// is in whole numbers. The zero value caches nothing.
type Proportional struct {
	// 0 to 1: the goal of a flavor is the whole part of Share times its nodes that are not
	// provisioned; with Goal = ByDemand it is the upper limit
	Share   float64
	Weights Weights

	Choice ImageChoice
	Goal   Goal
	// at least so many nodes of a flavor have an image, whatever the share, if there are free ones
	Least Bounds
	Most  Bounds // at most so many nodes of a flavor have an image

	// With one of these two, stale nodes are kept until enough others are ready in their place.
	// Ready is the share of the goal, 0 to 1, that is ready at any time, stale nodes included. So a
	// new image is rolled out in waves. MaxStale is how long after its retirement an image is still
	// handed out; then its nodes are ejected in any case.
	Ready    float64
	MaxStale time.Duration

	Rebalance bool // eject cached nodes beyond the goal that are most out of proportion

	// with Goal = ByDemand, the share of requests that should find their image; 0: 0.95
	HitRate float64
	Lead    time.Duration // with Goal = ByDemand, how long it takes to write an image; 0: 10 minutes

	// AnyNode takes a node at random. Otherwise it takes one of those that were written least
	// often, at random, so that disks wear evenly.
	AnyNode bool
	// Seed returns the seed for the random choices of one decision. nil: it is random. It may be
	// called from several goroutines at once.
	Seed func() uint64
}

// ImageChoice is how images are chosen.
type ImageChoice string

// The ways.
const (
	Weighted ImageChoice = "weighted" // or "": the one most short of its weight first
	// any, as Arsenal's first release did; images of weight 0 only if there is no other
	Random ImageChoice = "random"
)

// Goal is how the number of nodes with an image is determined.
type Goal string

// The goals.
const (
	ByShare  Goal = "share"  // or "": a share of the nodes
	ByDemand Goal = "demand" // by demand (metal.Fleet.Demand), at most the share
)

var _ metal.Strategy = (*Proportional)(nil)

// Check returns an error if a setting is wrong.
func (p *Proportional) Check() error {
	bad := func(key string, v any, want string) error {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s %v: not %s", key, v, want)}
	}
	switch {
	case !(p.Share >= 0 && p.Share <= 1):
		return bad("percentage_to_cache", p.Share, "a share between 0 and 1")
	case !(p.Ready >= 0 && p.Ready <= 1):
		return bad("min_ready", p.Ready, "a share between 0 and 1")
	case !(p.HitRate >= 0 && p.HitRate < 1):
		return bad("hit_rate", p.HitRate, "a share between 0 and 1")
	case p.MaxStale < 0:
		return bad("max_stale", p.MaxStale, "a duration")
	case p.Lead < 0:
		return bad("write_time", p.Lead, "a duration")
	case p.Choice != "" && p.Choice != Weighted && p.Choice != Random:
		return bad("image_choice", p.Choice, "weighted or random")
	case p.Goal != "" && p.Goal != ByShare && p.Goal != ByDemand:
		return bad("goal", p.Goal, "share or demand")
	}
	return nil
}

// Plan returns the plan of Decide, without the reasons.
func (p *Proportional) Plan(ctx context.Context, f *metal.Fleet) (metal.Plan, error) {
	if err := ctx.Err(); err != nil {
		return metal.Plan{}, err
	}
	if err := p.Check(); err != nil {
		return metal.Plan{}, err
	}
	return p.Decide(f).Plan, nil
}

// Decision is a plan with its reasons.
type Decision struct {
	Plan    metal.Plan
	Flavors []Account // of the fleet's flavors, in its order
}

// Account is the counts and the decision for a flavor.
type Account struct {
	Flavor  string
	Base    int // available nodes, without those that are ejected
	Free    int // of these, nodes to which an image may be written
	Cached  int // of these, nodes with a current image, or being written
	Kept    int // of these, nodes with a stale image, kept until others are ready
	Goal    int // how many should have a current image
	Need    int // how many are written to
	Stale   int // how many are ejected as their image is not current
	Surplus int // how many are ejected to even things out
	Floor   int // how many should be ready at any time
	Images  []Tally
}

// Tally is the counts and the decision for an image on a flavor.
type Tally struct {
	Weight int
	Cached int // nodes
	Least  int // the least number of nodes
	Most   int // the highest number of nodes; -1: no limit
	Writes int // how many more are written
	// its share by weight of all nodes cached afterwards; with ByDemand, how many were wanted
	Fair float64
}
