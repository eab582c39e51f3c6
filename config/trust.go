package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Danger is what in a tree's root waits for the user's approval, or has it: what runs code on this
// machine, spends or sends something of the user's, or leads a name of this machine elsewhere.
type Danger struct {
	Root    string // the root's path
	Digest  string // over all items
	Trusted bool   // the user has approved each item as it is
	Items   []Item
	Gone    []ApprovedItem // what was approved and is not there any more
	Risks   []Risk         // of all items
}

// Item is one thing that waits for approval, as a whole: a source with its hooks, a bundle, a job,
// a key of hostler.conf.
type Item struct {
	ApprovedItem
	State  itemState
	File   string // where it stands
	Line   int    // 0: the whole file
	Effect string // what it would do, next to what the machine has without the tree
	Risks  []Risk // why it waits
	// what the machine says in its stead without the tree, as Says; nil: nothing
	Machine []string
	Was     *ApprovedItem // as it was approved, where State is Changed
}

// itemState tells an item from what was approved.
type itemState string

const (
	ItemNew      itemState = "new"
	ItemChanged  itemState = "changed" // since it was approved
	ItemApproved itemState = "approved"
)

// Risk is a reason for which something waits.
type Risk struct {
	File   string
	Line   int    // 0: the whole file
	Source string // the source that waits for approval; "": none does
	Why    string
}

// NeedsTrust lists, for each root that came with a tree, what in it needs approval, approved or
// not. Roots without anything are not in it. It speaks of the files as they were at Load.
func (c *Config) NeedsTrust() []Danger { return slices.Clone(c.dangers) }

// tree is a root that came with a tree, while it is looked at.
type tree struct {
	place    *place
	kind     string
	sources  []*Source // also those that are shadowed
	jobs     []*Job    // also those
	bundles  []*Bundle // also those that are shadowed
	settings []entry   // of its hostler.conf, beyond [defaults]
	source   *entry    // [defaults] source; nil: not set
	chosen   bool      // and no earlier root says another
}

func (g *gathering) closeTrees() {
	for _, t := range g.trees {
		t.place.close()
	}
}

// applyTrust finds what waits for approval in each tree, asks what is approved, and breaks what is
// not.
func (g *gathering) applyTrust() {
	for i := range g.Roots {
		r := &g.Roots[i]
		t := g.trees[r.Path]
		if t == nil {
			continue
		}
		x := &examination{all: g, tree: t, legacy: newBinding(t.place)}
		x.look()
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
				x.things[n].hold(g, d.Items[n])
			}
		}
		for n := range d.Items {
			if d.Items[n].State == ItemApproved {
				for _, e := range x.things[n].settings {
					g.say(r, e)
				}
			}
		}
	}
}

// judge compares what waits with what was approved.
func (x *examination) judge(root string, given Approval) Danger {
	d := Danger{Root: root, Trusted: true}
	sum := sha256.New()
	old := len(given.Items) == 0 && given.Digest != "" && x.holds(given.Digest)
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

// holds reports whether an approval of before items were kept says the same as one of today: it
// bound the very files of all that waits, and nothing waits for a reason that was not told then.
func (x *examination) holds(digest string) bool {
	if slices.ContainsFunc(x.things, func(th *thing) bool { return th.unheard }) {
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

// hold keeps a thing from being used.
func (th *thing) hold(g *gathering, it Item) {
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
		// What names no source must not go elsewhere than the user thinks: neither to the tree's
		// choice, nor past it.
		e := th.chosen
		g.Defaults.Source, g.Defaults.Err = "", &Error{File: e.File, Line: e.Line, Key: e.Key, Err: ErrUntrusted}
		g.warn(g.Defaults.Err)
	}
}
