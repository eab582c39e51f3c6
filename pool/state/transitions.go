package state

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// steps lists the states that each state may change to. No other change is ever recorded. It is no
// map, which would be made at every start.
var steps = []struct {
	from compute.State
	to   []compute.State
}{
	{compute.Creating, []compute.State{compute.SettingUp, compute.Ready, compute.Leased, compute.Failed, compute.Discarding}},
	{compute.SettingUp, []compute.State{compute.Ready, compute.Leased, compute.Failed, compute.Discarding}},
	{compute.Ready, []compute.State{compute.Leased, compute.Cleaning, compute.Failed, compute.Discarding, compute.Held}},
	{compute.Leased, []compute.State{compute.Ready, compute.Cleaning, compute.Failed, compute.Discarding, compute.Held}},
	{compute.Cleaning, []compute.State{compute.Ready, compute.Failed, compute.Discarding}},
	{compute.Failed, []compute.State{compute.Discarding, compute.Held}},
	{compute.Discarding, []compute.State{compute.Failed}},
	{compute.Held, []compute.State{compute.Discarding, compute.Cleaning}},
}

// Allowed reports whether an instance may change from one state to another.
func Allowed(from, to compute.State) bool {
	for _, s := range steps {
		if s.from == from {
			return slices.Contains(s.to, to)
		}
	}
	return false
}
