package imagecache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/backoff"
	"github.com/hostler-project/hostler/compute/metal"
)

// Verb is the action of a directive on a node.
type Verb string

// The verbs.
const (
	Cache Verb = "cache" // write an image to it
	Eject Verb = "eject" // wipe it
)

// The states of a NodeRecord.
const (
	underWay    = "under-way"   // recorded, and begun or about to be
	failed      = "failed"      // it is not tried again before Until
	quarantined = "quarantined" // it is not tried again until a person says so
)

// NodeRecord is what is remembered of a node. It is a directive under way, from before its
// service is asked until its result was seen; or it is the record of failed ones. It has no
// secrets.
type NodeRecord struct {
	Node   string    `json:"node"`
	Name   string    `json:"name,omitempty"`
	Flavor string    `json:"flavor,omitempty"`
	State  string    `json:"state"` // under-way, failed, quarantined
	Do     Verb      `json:"do"`
	Image  string    `json:"image,omitempty"` // that is written, or wiped
	Title  string    `json:"image_name,omitempty"`
	Begun  time.Time `json:"begun"`
	// when the service said that it has begun, or was seen to have; zero: not known
	Answered time.Time `json:"answered,omitzero"`
	Failures int       `json:"failures,omitempty"`
	Until    time.Time `json:"until,omitzero"` // after a failure: not again before
	Error    string    `json:"error,omitempty"`
	Mend     bool      `json:"mend,omitempty"` // it wipes a node after a failed write
	// the failure that the node showed before, as long as it shows nothing else
	Was string `json:"was,omitempty"`

	BMC       string `json:"bmc,omitempty"`
	Rack      string `json:"rack,omitempty"`
	Conductor string `json:"conductor,omitempty"`
}

// UnderWay reports whether a directive is under way, neither done nor given up.
func (f *NodeRecord) UnderWay() bool { return f.State == underWay }

// Quarantined reports whether a node is left alone until a person says otherwise.
func (f *NodeRecord) Quarantined() bool { return f.State == quarantined }

// label names a node for people.
func label(id, name string) string {
	if name == "" || name == id {
		return id
	}
	return name + " (" + id + ")"
}

// longestPause is the longest pause after failures.
const longestPause = time.Hour

// patience is how long a directive may take, and what follows when it fails.
type patience struct {
	answer time.Duration // for the service to begin it
	whole  time.Duration // to have it done
	// how long a node is left alone after the first failure in a row
	pause      time.Duration
	quarantine int // after so many in a row the node is quarantined; 0: never
}

// after returns the pause after so many failures in a row, and after none as after one.
func (p patience) after(failures int) time.Duration {
	return backoff.Exponential{First: p.pause, Most: longestPause}.After(max(1, failures))
}

// fail notes a failure.
func (f *NodeRecord) fail(now time.Time, p patience, why string) {
	f.Failures++
	f.State, f.Until, f.Error = failed, now.Add(p.after(f.Failures)), oneLine(why)
	if p.quarantine > 0 && f.Failures >= p.quarantine {
		f.State = quarantined
	}
}

// oneLine makes a service's message fit to be kept and shown.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))), " ")
	const most = 1000 // bytes
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " ..."
	}
	return s
}

// nodeOutcome is the result of a directive.
type nodeOutcome int

const (
	goesOn nodeOutcome = iota
	done               // it succeeded
	foiled             // it failed
	lost               // the node belongs to another user now, which is no failure
	// its service refuses the node: it is left alone for a pause, and no failure is counted
	refused
	retried // it may be tried again: its pause is over
)

// update finds the result of a record from the node as it was seen just now; nil: the node is gone.
// It updates f. changed says whether f must be recorded.
func (f *NodeRecord) update(n *metal.Node, now time.Time, p patience) (what nodeOutcome, changed bool) {
	if now.Before(f.Begun) { // the clock was set back: the time that has passed is not known
		f.Begun, changed = now, true
		if !f.Answered.IsZero() {
			f.Answered = now
		}
	}
	if !f.UnderWay() {
		if over := now.Add(p.after(f.Failures)); f.Until.After(over) {
			f.Until, changed = over, true
		}
		if f.State == failed && n != nil && !n.Provisioned && f.outcome(n) == done { // late
			return done, true
		}
		if f.State == failed && !now.Before(f.Until) {
			return retried, changed
		}
		return goesOn, changed
	}
	if n != nil {
		switch f.outcome(n) {
		case done:
			return done, true
		case lost:
			return lost, true
		case foiled:
			f.fail(now, p, n.Failed)
			return foiled, true
		}
		if f.Answered.IsZero() && f.hasBegun(n) {
			f.Answered, changed = now, true
		}
		if f.Was != "" && n.Failed == "" {
			f.Was, changed = "", true
		}
	}
	limit, since, why := p.whole, f.Begun, "it was not done within "
	if f.Answered.IsZero() {
		limit, why = p.answer, "nothing of it was seen within "
	}
	if now.Sub(since) < limit {
		return goesOn, changed
	}
	if n == nil {
		why = "the node was not seen any more within "
	}
	f.fail(now, p, why+limit.String())
	return foiled, true
}

// next returns what is to be remembered of a record; nil: nothing. Of an ended one that is the
// failures before it. A success clears them, unless it only wiped the node to mend it. Losing the
// node to another user does not.
func (f *NodeRecord) next(what nodeOutcome, now time.Time, p patience) *NodeRecord {
	rest := *f
	switch {
	case what != done && what != lost && what != refused:
		return &rest
	case what == refused:
		rest.Until = now.Add(p.after(f.Failures))
	case f.Failures == 0 || what == done && !f.Mend:
		return nil
	case what == lost:
		rest.Until = now.Add(p.after(f.Failures))
	}
	rest.State, rest.Do, rest.Image, rest.Title, rest.Mend, rest.Was = failed, Cache, "", "", false, ""
	return &rest
}

// outcome returns what a node shows of the directive: done, foiled, lost, or goesOn if that is
// open.
func (f *NodeRecord) outcome(n *metal.Node) nodeOutcome {
	switch {
	case f.Do == Cache && f.Image != "" && n.Cached && n.Image == f.Image && !n.Writing:
		return done
	case f.Do == Eject && !n.Provisioned && (!n.Cached || n.Image != f.Image):
		if n.Failed != "" && !f.Mend {
			return foiled
		}
		return done
	case n.Used && !(n.Cached && n.Image == f.Image):
		return lost
	case n.Used && f.Do == Eject:
		return lost
	case n.Failed != "" && (!f.Mend || n.Failed != f.Was):
		return foiled
	}
	return goesOn
}

// hasBegun reports whether a node shows that its service has begun the directive.
func (f *NodeRecord) hasBegun(n *metal.Node) bool {
	if f.Do == Cache {
		return n.Cached && n.Image == f.Image
	}
	return n.Provisioned && !n.Used
}

// stuck reports whether a node still shows an image being written although its time and the pause
// after it are over. Without this the node would be left alone, and count as cached for ever.
func (f *NodeRecord) stuck(n *metal.Node, now time.Time, p patience) bool {
	return f.State == failed && f.Do == Cache && f.Image != "" && !now.Before(f.Until) && now.Sub(f.Begun) >= p.whole &&
		!n.Provisioned && n.Cached && n.Writing && n.Image == f.Image
}

// applyPending changes a node to what the strategy is to see: a directive under way counts as
// done, and a failed node is not available.
func (f *NodeRecord) applyPending(n *metal.Node) {
	switch {
	case f.UnderWay() && f.Do == Cache:
		if !n.Used {
			n.Provisioned, n.Cached, n.Image, n.Writing, n.Wiping, n.Why = false, true, f.Image, true, false, ""
		}
	case f.UnderWay():
		n.Provisioned, n.Wiping, n.Why = true, true, "it is being wiped"
	case f.State == quarantined:
		n.Provisioned, n.Why = true, fmt.Sprintf("in quarantine after %d failures: %s", f.Failures, f.Error)
	default:
		n.Provisioned, n.Why = true, fmt.Sprintf("left alone until %s after a failure: %s", f.Until.Format(time.TimeOnly), f.Error)
	}
}

// open reports whether an error of a commander leaves open if the service has begun the directive.
func open(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for _, kind := range []error{compute.ErrInvalid, compute.ErrNotFound, compute.ErrDenied, compute.ErrNoCapacity, compute.ErrConflict} {
		if errors.Is(err, kind) {
			return false
		}
	}
	return !errors.Is(err, compute.ErrFailed)
}
