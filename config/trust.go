package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Danger is what in a tree's root waits for the user's approval, or has it. It would run code on
// this machine, spend or send something of the user's, or lead a name of this machine elsewhere.
type Danger struct {
	Root    string // the root's path
	Digest  string // over all items
	Trusted bool   // the user has approved each item as it is
	Items   []Item
	Gone    []ApprovedItem // approved items that no longer exist
	Risks   []Risk         // of all items
}

// Item is one thing that is approved as a whole: a source with its hooks, a bundle, a job, or a key
// of hostler.conf.
type Item struct {
	ApprovedItem
	State  itemState
	File   string // its place
	Line   int    // 0: the whole file
	Effect string // what it would do, compared with the machine without the tree
	Risks  []Risk // why it waits
	// the machine's own lines in its place, as Says; nil: none
	Machine []string
	Was     *ApprovedItem // the approved item, if State is ItemChanged
}

// itemState compares an item with its approval.
type itemState string

const (
	ItemNew      itemState = "new"
	ItemChanged  itemState = "changed" // since it was approved
	ItemApproved itemState = "approved"
)

// Risk is a reason to wait for approval.
type Risk struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // 0: the whole file
	Source string `json:"source,omitempty"` // the source that waits; "": none
	Why    string `json:"why"`
}

// NeedsTrust lists, for each root that came with a tree, what needs approval, approved or not.
// Roots with nothing to approve are left out. It describes the files as they were at Load.
func (c *Config) NeedsTrust() []Danger { return slices.Clone(c.dangers) }

// tree is a root that came with a tree, during Load.
type tree struct {
	place    *rootDir
	kind     string
	sources  []*Source // also shadowed ones
	jobs     []*Job    // also shadowed ones
	bundles  []*Bundle // also shadowed ones
	settings []entry   // of its hostler.conf, except [defaults]
	source   *entry    // [defaults] source; nil: not set
	chosen   bool      // no earlier root sets it
}

func (g *loader) closeTrees() {
	for _, t := range g.trees {
		t.place.close()
	}
}

// applyTrust finds what waits for approval in each tree, reads the approvals, and disables what is
// not approved.
func (g *loader) applyTrust() {
	for i := range g.Roots {
		r := &g.Roots[i]
		t := g.trees[r.Path]
		if t == nil {
			continue
		}
		x := &treeReview{all: g, tree: t, legacy: newBinding(t.place)}
		x.findPending()
		given, err := g.opt.Trust.approval(r.Path)
		if err != nil {
			g.warn(err)
		}
		d := x.judge(r.Path, given)
		if len(d.Items) > 0 {
			g.dangers = append(g.dangers, d)
		}
		for n := range d.Items {
			if d.Items[n].State != ItemApproved {
				x.things[n].disable(g, d.Items[n])
			}
		}
		for n := range d.Items {
			if d.Items[n].State == ItemApproved {
				for _, e := range x.things[n].settings {
					g.addEntry(r, e)
				}
			}
		}
	}
}

// judge compares what waits with what was approved.
func (x *treeReview) judge(root string, given Approval) Danger {
	d := Danger{Root: root, Trusted: true}
	sum := sha256.New()
	old := len(given.Items) == 0 && given.Digest != "" && x.stillApproved(given.Digest)
	for _, th := range x.things {
		it := th.Item
		it.State = ItemNew
		i := slices.IndexFunc(given.Items, func(a ApprovedItem) bool { return a.Name == it.Name })
		switch {
		case old || i >= 0 && given.Items[i].Digest == it.Digest:
			it.State = ItemApproved
		case i >= 0:
			it.State, it.Was = ItemChanged, &given.Items[i]
		}
		d.Trusted = d.Trusted && it.State == ItemApproved
		d.Items = append(d.Items, it)
		d.Risks = append(d.Risks, it.Risks...)
		fmt.Fprintf(sum, "%q %s\n", it.Name, it.Digest)
	}
	d.Digest = hex.EncodeToString(sum.Sum(nil))
	for _, a := range given.Items {
		if !slices.ContainsFunc(d.Items, func(it Item) bool { return it.Name == a.Name }) {
			d.Gone = append(d.Gone, a)
		}
	}
	return d
}

// stillApproved reports whether an approval without items still counts: it was bound to the same
// files, and nothing waits for a reason that was not shown then.
func (x *treeReview) stillApproved(digest string) bool {
	if slices.ContainsFunc(x.things, func(th *pendingItem) bool { return th.unheard }) {
		return false
	}
	if x.legacy.digest() == digest {
		return true
	}
	// where a name led elsewhere, all sources of the tree were bound
	for _, s := range x.tree.sources {
		x.legacy.source(s)
	}
	return x.legacy.digest() == digest
}

// disable disables a pending item until it is approved.
func (th *pendingItem) disable(g *loader, it Item) {
	wait := func(err *error) {
		if *err != nil {
			return
		}
		var all errorList
		for _, r := range it.Risks {
			all.add(&Error{File: r.File, Line: r.Line, Source: it.Source, Msg: r.Why, Err: ErrUntrusted})
		}
		*err = all.err()
	}
	switch {
	case th.source != nil:
		wait(&th.source.Err)
	case th.bundle != nil:
		wait(&th.bundle.Err)
	case th.job != nil:
		wait(&th.job.Err)
	case len(th.settings) > 0:
		e := th.settings[0]
		g.warn(&Error{File: e.File, Line: e.Line, Key: e.Key, Msg: "is left out", Err: ErrUntrusted})
	case th.chosen != nil:
		// A command that names no source must not go elsewhere than the user thinks: neither to the
		// tree's choice, nor past it.
		e := th.chosen
		g.Defaults.Source, g.Defaults.Err = "", &Error{File: e.File, Line: e.Line, Key: e.Key, Err: ErrUntrusted}
		g.warn(g.Defaults.Err)
	}
}
