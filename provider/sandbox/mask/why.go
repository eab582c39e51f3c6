//go:build linux

package mask

import (
	"maps"
	"path"
	"slices"
)

// Cause is a kind of reason why a sandbox does not show a path of the host.
type Cause string

// The causes.
const (
	// the table hides it, or its mode closes it to others: credentials and other secrets
	Secret   Cause = "secret"
	Asked    Cause = "hidden"   // the source hides it
	Others   Cause = "others"   // it is another user's
	Fresh    Cause = "fresh"    // it lies in a directory that begins empty in each sandbox
	Unlisted Cause = "unlisted" // nothing names it among what is shown
)

// why is a cause in words.
type why struct {
	cause Cause
	text  string
}

// why is the reason for a line of the table.
func (e *secret) why() why {
	if e.Path == "/home" {
		return why{Others, e.Why}
	}
	return why{Secret, e.Why}
}

// Reason says why a path is not shown.
type Reason struct {
	Path  string // of the host, links followed
	At    string // the place that is hidden: the path or a directory above it. "" for Unlisted
	Cause Cause
	Why   string
}

// Reasons explains why sandboxes with one mask do not show paths of the host. It looks at each
// directory once. It is for one goroutine.
type Reasons struct {
	w     *walker
	mask  Mask
	rules map[string]Kind
	why   map[string]why
}

// Explain finds the rules for o, of which Make makes a mask.
func Explain(o Options) (*Reasons, error) {
	f, err := find(o)
	if err != nil {
		return nil, err
	}
	r := &Reasons{newWalker(rootOf(o)), Mask{Rules: f.rules, Shown: f.shown, Links: f.links}, map[string]Kind{}, f.why}
	for _, rule := range f.rules {
		r.rules[rule.Path] = rule.Kind
	}
	return r, nil
}

// Of returns why a path of the host, or a link on the way to it, is not shown. It reports false for
// shown and missing paths.
func (r *Reasons) Of(p string) (reason Reason, hidden bool) {
	if !path.IsAbs(p) {
		return Reason{}, false
	}
	links := map[string]string{}
	place, k, err := r.w.links(p, links)
	if err != nil || k != isDir && k != isOther {
		return Reason{}, false
	}
	for _, at := range append(slices.Sorted(maps.Keys(links)), place) {
		if _, made := r.mask.Links[at]; made || r.mask.Shows(at) {
			continue
		}
		if why := r.at(at); !hidden || why.Cause != Unlisted {
			reason, hidden = why, true
			reason.Path = place
		}
		if reason.Cause != Unlisted { // which says the least
			break
		}
	}
	return reason, hidden
}

// at is the reason for a place that is not shown: the nearest rule's.
func (r *Reasons) at(place string) Reason {
	for p := place; ; p = path.Dir(p) {
		kind, ok := r.rules[p]
		if ok && kind != Apart {
			return Reason{place, p, r.why[p].cause, r.why[p].text}
		}
		if ok || p == "/" {
			return Reason{place, "", Unlisted, "nothing names it among what sandboxes show"}
		}
	}
}
