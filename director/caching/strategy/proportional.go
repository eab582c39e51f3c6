package strategy

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
)

// Proportional is the strategy that keeps images on a share of each flavor's nodes that are to be
// had, in the proportion of the images' weights.
//
// Nodes whose image is not among the current ones are stale, and ejected. What is cached beyond the
// goal, or out of proportion, stays, unless Rebalance is set. All arithmetic but Share times a
// number of nodes is that of whole numbers. The zero value caches nothing.
type Proportional struct {
	// 0 to 1: the goal of a flavor is the whole part of Share times its nodes that are not
	// provisioned; with Goal = ByDemand it is the most
	Share   float64
	Weights Weights

	Choice ImageChoice
	Goal   Goal
	// so many nodes of a flavor have an image, whatever the share and as far as there are free ones
	Least Bounds
	Most  Bounds // no image is written beyond so many nodes of a flavor

	// With one of these two, stale ones are kept until enough others are ready in their place.
	// Ready is the share of the goal, 0 to 1, that is ready at any time, stale ones among it, so a
	// new image is rolled out in waves. MaxStale is how long after its retirement an image is
	// handed out; then its nodes are ejected in any case.
	Ready    float64
	MaxStale time.Duration

	Rebalance bool // eject, beyond the goal, what is cached most out of proportion

	// with Goal = ByDemand, the share of requests that shall find their image; 0: 0.95
	HitRate float64
	Lead    time.Duration // and how long it takes to write one; 0: 10 minutes

	// AnyNode takes a node at random. Else it is one that was written least often, at random among
	// those, so that disks wear evenly.
	AnyNode bool
	// Seed begins the random choices of one decision; nil: chance. Several goroutines call it at
	// once.
	Seed func() uint64
}

// ImageChoice is how images are chosen.
type ImageChoice string

// The ways.
const (
	Weighted ImageChoice = "weighted" // or "": the one most short of its weight first
	// any, as Arsenal's first release did; those of weight 0 only where there is no other
	Random ImageChoice = "random"
)

// Goal is what says how many nodes are to have an image.
type Goal string

// The goals.
const (
	ByShare  Goal = "share"  // or "": a share of the nodes
	ByDemand Goal = "demand" // what is asked for (metal.Fleet.Demand), at most the share
)

var _ metal.Strategy = (*Proportional)(nil)

// Check says what is wrong with the settings.
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

// Plan is what Decide says, without the reasons.
func (p *Proportional) Plan(ctx context.Context, f *metal.Fleet) (metal.Plan, error) {
	if err := ctx.Err(); err != nil {
		return metal.Plan{}, err
	}
	if err := p.Check(); err != nil {
		return metal.Plan{}, err
	}
	return p.Decide(f).Plan, nil
}

// Decision is a plan and what it rests on.
type Decision struct {
	Plan    metal.Plan
	Flavors []Account // of the fleet's flavors, in its order
}

// Account is what was counted and decided of a flavor.
type Account struct {
	Flavor  string
	Base    int // nodes that are to be had, those ejected not among them
	Free    int // of these, an image may be written to them
	Cached  int // and these have a current image, or are being written
	Kept    int // and these a stale one, which is kept until others are ready
	Goal    int // so many are to have a current one
	Need    int // so many are written to
	Stale   int // so many are ejected as their image is not current
	Surplus int // and so many to even things out
	Floor   int // so many are to be ready at any time
	Images  []Tally
}

// Tally is what was counted and decided of an image on a flavor.
type Tally struct {
	Weight int
	Cached int // nodes
	Least  int // so many at least
	Most   int // so many at most; -1: no limit
	Writes int // so many more are written
	// so many of all that are cached afterwards would be its share by weight; under demand, so many
	// were wanted
	Fair float64
}
