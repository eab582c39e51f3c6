package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/proto"
)

// observed is what there is of a partition on the computer.
type observed struct {
	Exists bool // its directory
	// in a free partition: leftovers that were found
	Stray     []string
	Timestamp string        // of the wish that was fulfilled last; "": of none
	Age       time.Duration // since then
	Period    *time.Duration
	Unsettled bool // its instance waits for what it has asked for
}

// Action is what a pass does with a partition.
type Action string

// The actions.
const (
	Tidy    Action = "tidy"    // it is free: an instance's old timestamps go
	Look    Action = "look"    // it is as it is wanted: whether all is well there is looked at
	Process Action = "process" // it is brought to what is wanted
	Refuse  Action = "refuse"  // the wish cannot be fulfilled
	Pass    Action = "pass"    // it was not asked for
)

// Step is the planned step for a partition.
type Step struct {
	Partition *proto.Partition
	Action    Action
	Reason    string // in words
	Silent    bool   // of a Refuse: it is not for this computer to tell the master
}

// rules say how a pass is planned.
type rules struct {
	Computer string   // its ID
	Only     []string // partitions; none: all
	Force    bool     // process partitions that are up to date too
	// process the partitions to be started and stop them, whatever was done before
	Stop bool
	// process an up-to-date partition after so long too; 0: each time, less than 0: never
	Periodicity time.Duration
}

// plan says what a pass is to do, in the order of the master's list. That a partition of Only is
// not there is an error.
func plan(c *proto.Computer, seen map[string]observed, r rules) ([]Step, error) {
	steps, known := make([]Step, 0, len(c.Partitions)), map[string]bool{}
	for i := range c.Partitions {
		p := &c.Partitions[i]
		s := Step{Partition: p}
		switch {
		case !plain(p.ID):
			s.Action, s.Silent, s.Reason = Refuse, true, fmt.Sprintf("%.80q is no name of a partition", p.ID)
		case known[p.ID]:
			s.Action, s.Silent, s.Reason = Refuse, true, "the master has it twice in its list"
		case p.Computer != "" && p.Computer != r.Computer:
			s.Action, s.Silent, s.Reason = Refuse, true, fmt.Sprintf("it is of the computer %.80q and not of this one", p.Computer)
		case len(r.Only) > 0 && !slices.Contains(r.Only, p.ID):
			s.Action, s.Reason = Pass, "it was not asked for"
		default:
			s.Action, s.Reason = decide(p, seen[p.ID], r)
		}
		known[p.ID] = true
		steps = append(steps, s)
	}
	for _, id := range r.Only {
		if !known[id] {
			return nil, &compute.Error{
				Op: "node.Plan", ID: compute.ID(id), Kind: compute.ErrNotFound,
				Err: fmt.Errorf("the master knows no such partition of %s", r.Computer),
			}
		}
	}
	return steps, nil
}

// decide chooses the action for one partition, and says why in words. The first matching case
// counts.
func decide(p *proto.Partition, seen observed, r rules) (Action, string) {
	period := r.Periodicity
	if seen.Period != nil {
		period = *seen.Period
	}
	switch {
	case p.Release == "" && p.State == proto.Destroyed:
		if len(seen.Stray) > 0 {
			return Tidy, "it is free and has files: " + strings.Join(seen.Stray, ", ")
		}
		return Tidy, "it is free"
	case !seen.Exists:
		return Refuse, "it has no directory"
	case p.State != proto.Started && p.State != proto.Stopped && p.State != proto.Destroyed:
		return Refuse, fmt.Sprintf("%.80q is no state that it can be in", p.State)
	case p.Release == "":
		return Refuse, "it is wanted " + p.State + " without a software release"
	case r.Stop && p.State == proto.Started:
		return Process, "it is to be stopped here, whatever is wanted"
	case r.Force:
		return Process, "it was asked for"
	case p.Timestamp == "":
		return Process, "the master does not say when it was changed"
	case seen.Timestamp == "":
		return Process, "it was not processed with success yet"
	case seen.Timestamp != p.Timestamp:
		return Process, "it was changed"
	case seen.Unsettled && p.State != proto.Destroyed:
		return Process, "it waits for what it has asked for"
	case period == 0:
		return Process, "it is processed each time"
	case period > 0 && seen.Age > period:
		return Process, fmt.Sprintf("it was processed more than %s ago", period)
	}
	return Look, "it is as it is wanted"
}

func plain(id string) bool { return home.IsPartition(id) }
