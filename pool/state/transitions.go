package state

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
)

// steps lists the states that each state may change to. No other change is ever recorded.
var steps = map[compute.State][]compute.State{
	compute.Creating:   {compute.SettingUp, compute.Ready, compute.Leased, compute.Failed, compute.Discarding},
	compute.SettingUp:  {compute.Ready, compute.Leased, compute.Failed, compute.Discarding},
	compute.Ready:      {compute.Leased, compute.Cleaning, compute.Failed, compute.Discarding, compute.Held},
	compute.Leased:     {compute.Ready, compute.Cleaning, compute.Failed, compute.Discarding, compute.Held},
	compute.Cleaning:   {compute.Ready, compute.Failed, compute.Discarding},
	compute.Failed:     {compute.Discarding, compute.Held},
	compute.Discarding: {compute.Failed},
	compute.Held:       {compute.Discarding, compute.Cleaning},
}

// Allowed reports whether an instance may change from one state to another.
func Allowed(from, to compute.State) bool { return slices.Contains(steps[from], to) }
