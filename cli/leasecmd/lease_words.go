package leasecmd

import (
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// untilWords says when a lease ends by itself. It follows the words on how the user can end it.
func untilWords(l compute.Lease) (words string) {
	if l.Idle > 0 {
		words = ", or until it is unused for " + term.TypedDuration(l.Idle)
	}
	if l.TTL > 0 {
		words += ", for " + term.TypedDuration(l.TTL) + " at most"
	}
	return words
}

func leaseNames(leases []compute.Lease) []string {
	names := make([]string, len(leases))
	for i, l := range leases {
		names[i] = l.Handle()
	}
	return names
}
