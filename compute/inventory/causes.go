package inventory

import "github.com/hostler-project/hostler/compute"

// The causes of compute.Instance and compute.Ending.
const (
	CauseWaiter     compute.Cause = "waiter"     // cleaned as a waiting request may want it
	CauseStop       compute.Cause = "stop"       // cleaning: it is being stopped
	CauseStart      compute.Cause = "start"      // cleaning: it is being started
	CauseRoom       compute.Cause = "room"       // discarded to make room for a waiting request
	CauseUnanswered compute.Cause = "unanswered" // discarded; it may not have been made
	CauseEnded      compute.Cause = "ended"      // its computer is no more
)
