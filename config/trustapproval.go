package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pendingItem is an item of a tree, and what cannot be used while it waits for approval.
type pendingItem struct {
	Item
	source   *Source
	bundle   *Bundle
	job      *Job
	settings []entry // one key, or an empty section
	chosen   *entry  // [defaults] source, if no earlier root sets it
	unheard  bool    // it waits for a reason that older approvals did not show
}

// treeReview finds what waits for approval in one tree.
type treeReview struct {
	all    *loader // everything that was read
	tree   *tree
	things []*pendingItem
	legacy *binding           // what an approval without items was bound to
	risks  map[*Source][]Risk // why each source of the tree waits
}

// findPending finds everything that waits for approval.
func (x *treeReview) findPending() {
	x.risks = map[*Source][]Risk{}
	for _, s := range x.tree.sources {
		if errors.Is(s.Err, fs.ErrNotExist) || s.Type == "" {
			continue // without a source.conf nothing runs
		}
		if risks := x.risksOf(s); len(risks) > 0 {
			x.source(s, risks)
		}
	}
	for _, b := range x.tree.bundles {
		if !errors.Is(b.Err, fs.ErrNotExist) {
			x.bundle(b)
		}
	}
	for _, j := range x.tree.jobs {
		x.job(j)
	}
	x.settings()
	if e := x.tree.source; e != nil {
		x.defaultSource(e)
	}
}

// risksOf returns why a source of the tree waits for approval; none: it does not.
func (x *treeReview) risksOf(s *Source) []Risk {
	if risks, ok := x.risks[s]; ok {
		return risks
	}
	// while it is examined
	x.risks[s] = []Risk{{File: s.File, Source: s.Name, Why: "contains itself"}}
	var risks []Risk
	note := func(r Risk) {
		r.Source = s.Name
		risks = append(risks, r)
	}
	if why := x.tree.place.sourceWritable(s); why != "" {
		note(Risk{File: s.File, Why: why})
	}
	if what := x.nameTakenBy(s.Name); what != "" {
		note(Risk{File: s.File, Why: "takes the place of " + what})
	}
	hooks(x.tree.place, s, note)
	x.values(s, note)
	x.risks[s] = risks
	return risks
}

// nameTakenBy returns what has a name outside the tree; "": nothing has.
func (x *treeReview) nameTakenBy(name string) string {
	if s := x.all.instead[name]; s != nil && s.Applied {
		return "what was applied as " + name
	} else if s != nil {
		return "this machine's own " + name + ", of " + s.File
	}
	if x.all.opt.builtIn(name) {
		return "the built-in source " + name
	}
	return x.referredFrom(name)
}

// referredFrom returns what outside of trees refers to a name that only a tree has, and so would
// lead to the tree's source; "": nothing does.
func (x *treeReview) referredFrom(name string) string {
	for _, s := range x.all.Sources {
		if !s.Tree && slices.Contains(s.Sources, name) {
			return name + " of your own pool " + s.Name + ", of " + s.File
		}
	}
	for _, j := range x.all.Jobs {
		if !j.Tree && j.Source == name {
			return "the source of your own job " + j.Name + ", of " + j.File
		}
	}
	for _, e := range x.all.entries {
		if e.Text == name && foldKey(e.Key) == "source" && !x.all.Roots[e.root].Tree {
			return "what your own [" + e.section + "] source names, of " + e.File
		}
	}
	return ""
}

// builtIn reports whether a name means this machine to users, whatever is configured.
func (o *LoadOptions) builtIn(name string) bool {
	k, known := o.Kinds.Find(name)
	return known && k.BuiltIn
}

// hooks reports the executables beside a source.conf.
func hooks(p *rootDir, s *Source, note func(Risk)) {
	for _, event := range Events {
		dir := s.Hooks[event]
		if dir == "" {
			continue
		}
		entries, err := p.list(filepath.Join("sources", s.Name, event+".d"))
		if err != nil {
			note(Risk{File: dir, Why: "cannot be looked into: " + withoutPath(err).Error()})
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			info, err := os.Stat(path) // a link out of the tree runs too
			if err != nil || info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				note(Risk{File: path, Why: "runs on this machine at " + event})
			}
		}
	}
}

// values reports what in a source.conf waits for approval.
func (x *treeReview) values(s *Source, note func(Risk)) {
	typ := s.Values["type"]
	whole, decided := RuleOn(s.Kind, "*")
	switch {
	case decided:
		note(Risk{File: s.File, Line: typ.Line, Why: "type " + s.Type + " " + whole.Why})
	case !freeKind(s.Kind):
		note(Risk{File: s.File, Line: typ.Line, Why: "type " + s.Type + " runs a program on this machine"})
	}
	for _, key := range slices.Sorted(maps.Keys(s.Values)) {
		v := s.Values[key]
		at := func(why string) { note(Risk{File: v.File, Line: v.Line, Why: v.Key + " " + why}) }
		own := strings.TrimPrefix(key, s.Type+".")
		kind, ref := referred(v.Text)
		r, known := RuleOn(s.Kind, own)
		switch {
		case own == "type":
		case ref && kind == "command":
			at("runs a program on this machine")
		case ref:
			at("reads a secret of yours and uses it")
		case s.Kind.Suspect != nil && s.Kind.Suspect(own, v.Text) != "":
			at(s.Kind.Suspect(own, v.Text))
		case s.Kind.Pool && own == "sources":
			x.children(s, at)
		case decided, !known && !freeKind(s.Kind): // reported for the type
		case !known:
			at("is a key that nobody has judged")
		case r.Free && !mayWithoutApproval(r, v.Text):
			at("= " + v.Text + " is more than " + r.Values)
		case !r.Free:
			at(r.Why)
		}
	}
}

// referred returns the kind of the first reference to a secret in a value or in a list of values.
func referred(text string) (kind string, ok bool) {
	for _, one := range append([]string{text}, list(text)...) {
		if kind, _, ok = reference(strings.TrimSpace(one)); ok {
			return kind, true
		}
	}
	return "", false
}

// children reports which sources of a pool are not the tree's, or wait themselves.
func (x *treeReview) children(s *Source, at func(string)) {
	for _, name := range s.Sources {
		child := x.all.byName[name]
		switch {
		case child == nil || child.Root != s.Root:
			at("takes computers of " + name + ", which is not the tree's")
		case len(x.risksOf(child)) > 0:
			at("takes computers of " + name + ", which waits itself")
		}
	}
}

// source adds a source that waits.
func (x *treeReview) source(s *Source, risks []Risk) {
	bound := newBinding(x.tree.place)
	bound.source(s)
	x.legacy.join(bound)
	delete(bound.files, s.File) // Says has the keys of it that matter
	th := &pendingItem{source: s, Item: Item{File: s.File, Line: s.Values["type"].Line, Risks: risks}}
	th.Name, th.Source = "source "+s.Name, s.Name
	th.Says = append(keysOf(s), x.coveredLines(s, map[*Source]bool{s: true})...)
	if x.nameTakenBy(s.Name) != "" {
		th.Says = append(th.Says, "takes the place of this machine's own "+s.Name)
		th.unheard = !x.all.opt.builtIn(s.Name) || x.all.instead[s.Name] != nil
	}
	if why := x.tree.place.sourceWritable(s); why != "" {
		th.Says = append(th.Says, why)
		th.unheard = true
	}
	th.Effect = "leads to " + leadsTo(s)
	switch first := x.all.byName[s.Name]; {
	case first != nil && first != s:
		th.Effect = "would lead to " + leadsTo(s) + "; as long as " + first.File + " has the name too, that counts"
	case x.all.instead[s.Name] != nil:
		other := x.all.instead[s.Name]
		th.Effect = "would lead to " + leadsTo(s) + " instead of " + leadsTo(other) + " (" + other.File + ")"
		th.Machine = keysOf(other)
	case x.all.opt.builtIn(s.Name):
		other := x.all.opt.implicitSource(s.Name)
		th.Effect = "would lead to " + leadsTo(s) + " instead of " + leadsTo(other) + " (built in)"
		th.Machine = keysOf(other)
	}
	x.add(th, bound)
}

// keysOf returns the keys of a source that an approval covers, one per line; the type is first.
func keysOf(s *Source) []string {
	lines := []string{"type = " + s.Type}
	for _, key := range slices.Sorted(maps.Keys(s.Values)) {
		own := strings.TrimPrefix(key, s.Type+".")
		if v := s.Values[key]; own != "type" && invalidatesApproval(s.Kind, own, v.Text) {
			lines = append(lines, strings.ReplaceAll(own, "_", "-")+" = "+v.Text)
		}
	}
	return lines
}

// coveredLines returns the lines of the tree's sources that a pool leads to and that need no
// approval: the approval of the pool covers them.
func (x *treeReview) coveredLines(s *Source, seen map[*Source]bool) (lines []string) {
	for _, name := range s.Sources {
		child := x.all.byName[name]
		if child == nil || child.Root != s.Root || seen[child] {
			continue
		}
		seen[child] = true
		lines = append(lines, x.coveredSource(child, seen)...)
	}
	return lines
}

// coveredSource returns the lines of a source of the tree, and of the sources that it leads to.
func (x *treeReview) coveredSource(s *Source, seen map[*Source]bool) (lines []string) {
	if len(x.risksOf(s)) == 0 {
		for _, line := range keysOf(s) {
			lines = append(lines, s.Name+": "+line)
		}
	}
	return append(lines, x.coveredLines(s, seen)...)
}

// coveredByName returns the lines of the tree's source of a name; none: the tree has no such
// source.
func (x *treeReview) coveredByName(name string) []string {
	if s := x.all.byName[name]; s != nil && slices.Contains(x.tree.sources, s) {
		return x.coveredSource(s, map[*Source]bool{s: true})
	}
	return nil
}

// bundle adds a bundle, which always waits for approval.
func (x *treeReview) bundle(b *Bundle) {
	bound := newBinding(x.tree.place)
	bound.bundle(b.Name)
	x.legacy.join(bound)
	th := &pendingItem{bundle: b, Item: Item{File: b.Dir, Effect: "puts files on computers and runs its scripts there"}}
	th.Name = "bundle " + b.Name
	th.Risks = []Risk{{File: b.Dir, Why: "its files and scripts are put on instances and run there"}}
	for _, path := range b.Shadowed {
		th.Effect += ", instead of " + path
	}
	x.add(th, bound)
}

// job adds a job, which always waits for approval.
func (x *treeReview) job(j *Job) {
	bound := newBinding(x.tree.place)
	name := filepath.Join("jobs", j.Name+".conf")
	bound.file(name)
	x.legacy.join(bound)
	th := &pendingItem{job: j, Item: Item{File: j.File, Effect: "runs " + short(strings.Join(j.Words, " ")+j.Shell)}}
	if j.Source != "" {
		th.Effect += " on " + j.Source
	}
	if len(j.Env) > 0 {
		th.Effect += ", with your variables " + strings.Join(j.Env, ", ")
	}
	th.Name = "job " + j.Name
	th.Risks = []Risk{{File: j.File, Why: "is a job: it says what is run, where, and which variables of yours go along"}}
	if data, err := x.tree.place.read(name, maxFile); err == nil {
		if entries, err := parse(j.File, data, false, false); err == nil {
			for _, e := range entries {
				th.Says = append(th.Says, strings.TrimPrefix(e.section+"."+e.Key, ".")+" = "+e.Text)
			}
			slices.Sort(th.Says)
			delete(bound.files, j.File)
		}
	}
	th.Says = append(th.Says, x.coveredByName(j.Source)...)
	x.add(th, bound)
}

// settings adds the keys of the tree's hostler.conf.
func (x *treeReview) settings() {
	for i, e := range x.tree.settings {
		x.legacy.file("hostler.conf")
		th := &pendingItem{settings: x.tree.settings[i : i+1], Item: Item{File: e.File, Line: e.Line}}
		why := fmt.Sprintf("sets %s of [%s]", e.Key, e.section)
		th.Name, th.Says = "["+e.section+"] "+e.Key, []string{e.Key + " = " + e.Text}
		if e.Key == "" {
			why = "has the section [" + e.section + "]"
			th.Name, th.Says = "["+e.section+"]", nil
		}
		th.Risks = []Risk{{File: e.File, Line: e.Line, Why: why}}
		x.compare(th, e.section, e.Value)
		bound := newBinding(x.tree.place)
		_, words, _ := reference(e.Text)
		bound.named(
			append(strings.FieldsFunc(words, func(c rune) bool { return strings.ContainsRune(" \t\n'\"", c) }), list(e.Text)...),
			x.tree.place.path,
		)
		x.add(th, bound)
	}
}

// defaultSource adds [defaults] source.
func (x *treeReview) defaultSource(e *entry) {
	x.legacy.file("hostler.conf")
	th := &pendingItem{Item: Item{File: e.File, Line: e.Line}}
	if x.tree.chosen {
		th.chosen = e
	}
	th.Name, th.Says = "[defaults] source", append([]string{"source = " + e.Text}, x.coveredByName(e.Text)...)
	th.Risks = []Risk{{File: e.File, Line: e.Line, Why: "what names no source goes to " + e.Text}}
	x.compare(th, "defaults", e.Value)
	x.add(th, newBinding(x.tree.place))
}

// compare says how a key of hostler.conf relates to the same key in other roots.
func (x *treeReview) compare(th *pendingItem, section string, v Value) {
	if v.Key == "" {
		th.Effect = "is there, which may be all that it has to say"
		return
	}
	th.Effect = "would be " + short(v.Text)
	for _, o := range x.all.entries {
		if o.section != section || foldKey(o.Key) != foldKey(v.Key) || o.File == v.File {
			continue
		}
		th.Machine = []string{o.Key + " = " + o.Text}
		if o.root < x.all.rootOf(x.tree) {
			th.Effect += "; as long as " + o.File + " says it too, that counts"
		} else {
			th.Effect += " instead of " + short(o.Text) + " (" + o.File + ")"
		}
		return
	}
}

// rootOf returns the index of a tree's root.
func (g *loader) rootOf(t *tree) int {
	return slices.IndexFunc(g.Roots, func(r Root) bool { return r.Path == t.place.path })
}

// add completes a pending item with its files and digest.
func (x *treeReview) add(th *pendingItem, bound *binding) {
	for _, path := range slices.Sorted(maps.Keys(bound.files)) {
		f := BoundFile{Path: path, Digest: bound.files[path], Text: bound.texts[path]}
		th.Files = append(th.Files, f)
	}
	h := sha256.New()
	form, _ := json.Marshal([]any{th.Name, th.Says}) // strings cannot fail
	h.Write(form)
	h.Write([]byte(bound.digest()))
	th.Digest = hex.EncodeToString(h.Sum(nil))
	x.things = append(x.things, th)
}

// short returns the beginning of a text, for one line.
func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return text
}

// leadsTo says in words where commands for a source go.
func leadsTo(s *Source) string {
	switch {
	case s.Type == "":
		return "a source that cannot be read"
	case s.Kind.Pool:
		return "the sources " + strings.Join(s.Sources, ", ")
	case s.Kind.LeadsTo == nil:
		return "a program for the type " + s.Type
	}
	return s.Kind.LeadsTo(s.Settings)
}
