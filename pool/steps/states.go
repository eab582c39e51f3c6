package steps

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// State is what holds of the instances in a state.
type State struct {
	State  compute.State
	Means  string
	Making bool // it was never ready: how far it is made is not known
	Work   Work // what is done with it in this state
	Undo   Undo
}

// Work is what is done with an instance until it takes its next step.
type Work string

// The works of a process that takes up an instance. That of making one ends with its process.
const (
	Cleaning   Work = "clean"
	Discarding Work = "discard"
)

// When says when an instance is taken up that no process works on.
type When int

const (
	Never    When = iota // it waits for a person, or for the end of its lease
	AtOnce               // as soon as its process is dead and its Retry has come
	InTime               // the same, if it has a Retry
	Unwanted             // when its source does not want it any more
)

// Undo is how an instance is taken up that no process works on: its process died, its work failed,
// or its time has come.
type Undo struct {
	When When
	Step Step // taken first; "": its work is done again
	// Why is the reason for the step; nil: the engine has one of its own.
	Why   func(*compute.Instance) (compute.Cause, string)
	About string // for the page
}

var states = []State{
	{compute.Creating, "recorded; the provider is asked for it", true, "", Undo{AtOnce, Discard, orphan,
		"The answer of the provider is lost, so it is discarded, with the pools' instances in front of it that were not begun. " +
			"If a pool's own part was begun, that instance goes first."}},
	{compute.SettingUp, "made; it is being connected to, its hooks run", true, "", Undo{AtOnce, Discard, orphan,
		"How far its hooks came is not known, so it is discarded in the same way."}},
	{compute.Ready, "cached; it may be handed out", false, "", Undo{Unwanted, Discard, nil,
		"No process works on it. When its source does not want it any more, it is discarded."}},
	{compute.Leased, "in use", false, "", Undo{Never, "", nil,
		"Its lease ends when its time or its process is over, and takes one of the steps from here."}},
	{compute.Cleaning, "being made fit for the next lease, stopped or started", false, Cleaning, Undo{AtOnce, "", nil,
		"It is cleaned again, from the first release hook that is not recorded as done."}},
	{compute.Failed, "not fit; it is never handed out", false, "", Undo{AtOnce, Discard, own,
		"It is discarded."}},
	{compute.Discarding, "being destroyed, until the provider says that it is not there", false, Discarding, Undo{AtOnce, "", nil,
		"It is destroyed again, with growing pauses. The discard hooks do not run twice."}},
	{compute.Held, "kept aside for a person; it counts nowhere", false, "", Undo{InTime, Discard, dead,
		"With `auto-confirm-dead` it is discarded when that time is over, else when a person says so."}},
}

// Of returns what holds of a state.
func Of(s compute.State) State {
	if n := slices.IndexFunc(states, func(of State) bool { return of.State == s }); n >= 0 {
		return states[n]
	}
	return State{State: s}
}

// States returns all states, in the order of a life.
func States() []State { return slices.Clone(states) }

// Idle lists the states in which nothing is done with an instance, and from which it is taken up
// all the same.
func Idle() (out []compute.State) {
	for _, s := range states {
		if w := s.Undo.When; (w == AtOnce || w == InTime) && s.Work == "" && !s.Making {
			out = append(out, s.State)
		}
	}
	return out
}

// Unanswered is the reason to discard an instance of which it is not known whether it was made.
func Unanswered(why string) (compute.Cause, string) {
	return inventory.CauseUnanswered, "the answer to its creation was lost: " + why
}

func orphan(*compute.Instance) (compute.Cause, string) {
	return Unanswered("the process that was making it died")
}

func own(i *compute.Instance) (compute.Cause, string) { return i.Cause, i.Reason }

func dead(i *compute.Instance) (compute.Cause, string) { return "", "taken for dead: " + i.Reason }
