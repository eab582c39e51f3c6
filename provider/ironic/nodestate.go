package ironic

import (
	"fmt"
	"slices"
	"strings"
)

// The provision states of Ironic that decisions rest on. The predicates below
// say what they mean together with our mark.
const (
	stateAvailable   = "available"
	stateActive      = "active"
	stateManageable  = "manageable"
	stateDeleting    = "deleting"
	stateCleanFailed = "clean failed"
	stateWait        = "wait call-back"
	stateDeployHold  = "deploy hold"
)

func (r *record) state() string {
	if r.State == "" { // null, as in old versions
		return stateAvailable
	}
	return r.State
}

// deploying reports whether a deployment is writing an image.
func (r *record) deploying() bool {
	return slices.Contains([]string{"deploying", stateWait, stateDeployHold, "rebuild"}, r.state())
}

// ending reports whether a node is on its way back to available.
func (r *record) ending() bool {
	return slices.Contains([]string{stateDeleting, "cleaning", "clean wait", "clean hold", "deleted"}, r.state())
}

// broken reports whether the last deployment or cleaning failed.
func (r *record) broken() bool {
	return slices.Contains([]string{"deploy failed", stateCleanFailed, "error", "service failed", "rescue failed"}, r.state())
}

// blockedReason says why nobody may change a node, whatever is on it. "": nothing.
func (r *record) blockedReason() string {
	switch {
	case r.Maintenance:
		return strings.TrimSuffix("in maintenance: "+r.MaintenanceReason, ": ")
	case r.Fault != "":
		return "fault: " + r.Fault
	case r.Protected:
		return "protected"
	}
	return ""
}

// unavailableReason says why an image may not be written to a node. "": it may.
func (r *record) unavailableReason() string {
	if why := r.blockedReason(); why != "" {
		return why
	}
	switch {
	case r.state() != stateAvailable:
		return r.state()
	case r.Retired:
		return "retired"
	case r.Allocation != "":
		return "claimed by allocation " + r.Allocation
	case r.Instance != "":
		return "claimed for instance " + r.Instance
	case r.Reservation != "":
		return "locked by conductor " + r.Reservation
	}
	return ""
}

// wipeInterrupted reports whether the cache made the node manageable to wipe it, and nothing was
// done since: the process died, or its request was lost.
func (r *record) wipeInterrupted(installation string) bool {
	m := r.Extra.Mark
	return m != nil && m.Way == "" && m.State == wiping && m.Installation == installation &&
		r.state() == stateManageable && m.Step != "" && m.Step == r.Updated
}

// otherInstallation reports whether another installation's cache has an image on the node.
func (r *record) otherInstallation(installation string) bool {
	m := r.Extra.Mark
	return m != nil && m.Way != "" && m.Instance == "" && m.Installation != installation && m.State != failed &&
		!(m.Way.standby() && r.state() == stateAvailable && r.Instance == "")
}

// failure returns Ironic's words for what failed.
func (r *record) failure() string {
	if r.LastError == "" {
		return fmt.Sprintf("it is in state %s, and Ironic does not say why", r.state())
	}
	return strings.Join(strings.Fields(r.LastError), " ")
}

// heldByCache reports whether the claim on a node is the cache's own.
func heldByCache(installation string, r *record) bool {
	return r.Instance != "" && r.Instance == standbyClaim(installation, r.UUID)
}
