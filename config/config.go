package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider/catalog"
	"github.com/hostler-project/hostler/text/nearest"
	"github.com/hostler-project/hostler/text/units"
)

// LoadOptions say where to look. The zero value looks where a user's command does, and accepts any
// key in a type's section.
type LoadOptions struct {
	Dir       string              // the tree's directory, -C; "": the current one
	ConfigDir string              // --config, which must exist; "": none
	Env       func(string) string // nil: os.Getenv
	Home      string              // the user's home directory; "": HOME in Env
	System    string              // "": /etc/hostler

	// Compat reads only crcache's two roots, as crcache did: it does not look for .crcache in
	// parent directories, and an unknown key is only a warning.
	Compat bool
	// Lenient makes an unknown key of a source a warning, and adds no sandbox unless one is
	// configured. It is for the other former programs.
	Lenient bool
	// Dirs are read before all other roots, in their order. They must exist.
	Dirs []string
	// Kinds are the known kinds of sources. For an unknown kind all keys are accepted.
	Kinds catalog.Table
	// CheckWindow returns what is wrong with the cron expressions of a window of [schedule]; nil:
	// no check.
	CheckWindow func(begin, end string) error
	// Applied returns the directory of applied things, or "", by what the other roots say. It is
	// read after them, so files take precedence. nil: there is none.
	Applied func(*Config) string
	// Trust has the user's approvals. Without Dir nothing is approved.
	Trust TrustStore
}

// Config is a configuration as read. It does not change after Load.
type Config struct {
	Roots    []Root
	Sources  []*Source  // sorted by name
	Projects []*Project // sorted by name
	Bundles  []*Bundle  // sorted by name
	Jobs     []*Job     // the first of each name
	Defaults Defaults
	// the other sections of hostler.conf, also empty ones, by name and key ("-" as "_"); the part
	// that owns a section decodes it
	Sections map[string]map[string]Value
	// all keys of hostler.conf, including [defaults], by section and key
	Settings []Setting
	Warnings []error // oddities that break nothing
	// Foreign are the types of all sources that were read, used or not, that LoadOptions.Kinds does
	// not have
	Foreign []string

	opt     LoadOptions
	dangers []Danger
}

// Defaults are the section [defaults] of hostler.conf.
type Defaults struct {
	Source string         // "": not set, or see Err
	At     *Error         // where that is set, and that there is no such source; nil: there is
	Err    error          // why Source waits for approval, when a tree sets it; nil: it does not
	Wait   *time.Duration // the longest wait in a queue; nil: not set; negative: no limit
}

// The sections of hostler.conf, with the keys of those that are read here.
var sections = map[string][]string{
	"defaults": {"source", "wait"}, "store": nil, "apply": nil, "director": nil, "images": nil, "director.metal": nil,
	"director.metal.strategy": nil, "director.metal.scout": nil, "auth": nil, "controller": nil, "run": nil,
	"results": nil, "env": nil, "sync": nil, "slap": nil, "resources": nil, "fetch": nil,
	"cloud": nil, "cloud.prices": nil, "deploy": nil, "deploy.vars": nil, "deploy.images": nil, "deploy.image-bundles": nil,
}

// Load reads the configuration. A broken source has its Err and breaks nothing else. An error is an
// *Error about a missing directory, or about hostler.conf; in the second case the Config is
// returned too.
func Load(opt LoadOptions) (*Config, error) {
	if opt.Env == nil {
		opt.Env = os.Getenv
	}
	if opt.Home == "" {
		opt.Home = opt.Env("HOME")
	}
	opt.Dir = cmp.Or(opt.Dir, ".")
	opt.System = cmp.Or(opt.System, "/etc/hostler")
	c := &Config{opt: opt, Sections: map[string]map[string]Value{}}
	var err error
	if c.Roots, err = findRoots(&opt); err != nil {
		return nil, err
	}
	g := &loader{Config: c, byName: map[string]*Source{}, trees: map[string]*tree{}, instead: map[string]*Source{}}
	for i := range c.Roots {
		if e := g.root(&c.Roots[i]); err == nil {
			err = e
		}
	}
	g.findReplacedApplied()
	g.applyTrust()
	g.mergeSettings()
	if opt.Applied != nil { // once the settings of hostler.conf are known
		if dir := opt.Applied(c); dir != "" {
			c.Roots = append(c.Roots, appliedRoot(dir))
			_ = g.root(&c.Roots[len(c.Roots)-1]) // no hostler.conf is read there
		}
	}
	for _, name := range opt.implicit() {
		if g.byName[name] == nil {
			g.add(opt.implicitSource(name))
		}
	}
	slices.SortFunc(c.Sources, func(a, b *Source) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Projects, func(a, b *Project) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Bundles, func(a, b *Bundle) int { return strings.Compare(a.Name, b.Name) })
	g.checkPools()
	g.checkProjects()
	g.checkBundles()
	g.checkDefault()
	g.closeTrees()
	return c, err
}

// checkDefault looks whether there is a source that [defaults] names. A controller may have it.
func (g *loader) checkDefault() {
	d := &g.Defaults
	_, err := g.Source(d.Source)
	wrong, missing := errors.AsType[*Error](err)
	if d.Source == "" || !missing || d.At == nil {
		d.At = nil
		return
	}
	d.At.Msg, d.At.Nearest = "there is no source "+d.Source, wrong.Nearest
	g.warn(d.At)
}

// implicit returns the names of sources that exist without configuration. The former programs had
// only this machine.
func (o *LoadOptions) implicit() []string {
	return o.Kinds.Names(func(k *catalog.Kind) bool {
		return k.Implicit() && (k.Itself || !o.Compat && !o.Lenient)
	})
}

// Source returns the source of a name, or an *Error with the nearest name.
func (c *Config) Source(name string) (*Source, error) {
	var names []string
	for _, s := range c.Sources {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, &Error{Source: name, Msg: "no such source", Nearest: nearest.Near(name, names)}
}

// Lacks reports whether a source was removed: its place was read and has no source of that name,
// not even one that another root shadows.
func (c *Config) Lacks(name, place string) bool {
	i := slices.IndexFunc(c.Roots, func(r Root) bool {
		return r.Kind == AppliedKind && place == AppliedKind || r.Kind != AppliedKind && r.Path == place
	})
	if i < 0 || !c.Roots[i].Exists || c.Roots[i].Err != nil {
		return false
	}
	file := sourceFile(&c.Roots[i], name)
	return !slices.ContainsFunc(c.Sources, func(s *Source) bool {
		return s.Name == name && (s.Place() == place || slices.Contains(s.Shadowed, file))
	})
}

// loader is the state of one Load.
type loader struct {
	*Config
	byName  map[string]*Source
	trees   map[string]*tree // by root
	entries []confEntry      // entries of hostler.conf, in the order of reading

	instead map[string]*Source // by name: the source that a tree's source replaces
}

func (g *loader) add(s *Source) {
	g.byName[s.Name] = s
	g.Sources = append(g.Sources, s)
}

func (g *loader) warn(err error) { g.Warnings = append(g.Warnings, err) }

// root reads one root. The error is about its hostler.conf.
func (g *loader) root(r *Root) error {
	if !r.Exists {
		switch {
		case r.Err != nil:
			g.warn(r.Err)
		case r.Kind == "env":
			what := "is not a directory"
			if _, err := os.Lstat(r.Path); errors.Is(err, fs.ErrNotExist) {
				what = "does not exist"
			}
			g.warn(&Error{File: r.Path, Msg: what + ", and $HOSTLER_CONFIG names it"})
		}
		return nil
	}
	p, err := openPlace(r)
	if err != nil {
		r.Err = &Error{File: r.Path, Err: withoutPath(err)}
		g.warn(r.Err)
		return nil
	}
	if r.Tree {
		g.trees[r.Path] = &tree{place: p, kind: r.Kind}
	} else {
		defer p.close()
	}
	g.sources(r, p)
	if r.crcache() {
		return nil
	}
	g.projects(r, p)
	g.readBundles(r, p)
	if r.Kind == AppliedKind {
		return nil
	}
	g.jobs(r, p)
	return g.hostlerConf(r, p)
}

// sources reads the sources of one root; the first definition of a name counts.
func (g *loader) sources(r *Root, p *rootDir) {
	entries, err := p.list("sources")
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.Err = &Error{File: r.Path + "/sources", Err: withoutPath(err)}
			g.warn(r.Err)
		}
		return
	}
	for _, e := range entries {
		first := g.byName[e.Name()]
		if first != nil {
			first.Shadowed = append(first.Shadowed, sourceFile(r, e.Name()))
			if !r.Tree {
				g.keepReplaced(first, r, p)
				continue
			}
		}
		s, warnings := g.source(r, p, e.Name())
		if r.Tree {
			// an approval does not depend on what shadows the source
			g.trees[r.Path].sources = append(g.trees[r.Path].sources, s)
		}
		if first == nil {
			g.add(s)
			g.Warnings = append(g.Warnings, warnings...)
		}
	}
}

// keepReplaced keeps the source that a tree's source replaces.
func (g *loader) keepReplaced(first *Source, r *Root, p *rootDir) {
	if first.Tree && g.instead[first.Name] == nil {
		g.instead[first.Name], _ = g.source(r, p, first.Name)
	}
}

// source is readSource. It notes a type that Kinds does not have.
func (g *loader) source(r *Root, p *rootDir, name string) (*Source, []error) {
	s, warnings := readSource(r, p, name, &g.opt)
	if _, known := g.opt.Kinds.Find(s.Type); !known && s.Type != "" {
		g.Foreign = append(g.Foreign, s.Type)
	}
	return s, warnings
}

// findReplacedApplied finds applied sources with the names of trees' sources. The trees' own
// settings do not say here where applied things are.
func (g *loader) findReplacedApplied() {
	if len(g.trees) == 0 || g.opt.Applied == nil {
		return
	}
	g.mergeSettings()
	dir := g.opt.Applied(g.Config)
	if dir == "" {
		return
	}
	r := appliedRoot(dir)
	p, err := openPlace(&r)
	if err != nil {
		return
	}
	entries, _ := p.list("sources") // errors are reported when it is read later
	for _, e := range entries {
		if first := g.byName[e.Name()]; first != nil {
			g.keepReplaced(first, &r, p)
		}
	}
}

// hostlerConf reads a root's hostler.conf, if there is one. It takes all settings, and returns
// the first error.
func (g *loader) hostlerConf(r *Root, p *rootDir) error {
	file := r.Path + "/hostler.conf"
	data, err := p.read("hostler.conf", maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Error{File: file, Err: withoutPath(err)}
	}
	entries, err := parse(file, data, false, false)
	if err != nil {
		return err
	}
	for _, e := range titles(file, data) {
		if e.section != "defaults" && !slices.ContainsFunc(entries, func(o entry) bool { return o.section == e.section }) {
			entries = append(entries, e) // an empty section can have a meaning
		}
	}
	var first error
	for _, e := range entries {
		if err := g.setting(r, e); first == nil {
			first = err
		}
	}
	return first
}

// setting takes one key of a hostler.conf, or an empty section.
func (g *loader) setting(r *Root, e entry) error {
	known, ok := sections[e.section]
	if !ok && !named(e.section) {
		var names []string
		if _, name, ok := strings.Cut(e.section, " "); ok {
			for _, kind := range kinds {
				names = append(names, "["+kind+" "+name+"]")
			}
		}
		for n := range sections {
			names = append(names, "["+n+"]")
		}
		if e.section == "" {
			return &Error{File: e.File, Line: e.Line, Key: e.Key, Msg: "stands outside of a section", Nearest: "[defaults]"}
		}
		return &Error{File: e.File, Line: e.Line, Key: e.Key, Msg: fmt.Sprintf("is in the unknown section [%s]", e.section),
			Nearest: nearest.Near("["+e.section+"]", names)}
	}
	key := foldKey(e.Key)
	if e.section != "defaults" && r.Tree {
		t := g.trees[r.Path]
		t.settings = append(t.settings, e)
		return nil
	}
	if e.section != "defaults" {
		g.addEntry(r, e)
		return nil
	}
	if !slices.Contains(known, key) {
		return &Error{File: e.File, Line: e.Line, Key: e.Key, Msg: "unknown key", Nearest: nearest.Near(key, known)}
	}
	g.addEntry(r, e)
	switch key {
	case "source":
		chosen := g.Defaults.Source == ""
		g.Defaults.Source = cmp.Or(g.Defaults.Source, e.Text)
		if chosen {
			g.Defaults.At = &Error{File: e.File, Line: e.Line, Key: "[defaults] source"}
		}
		if t := g.trees[r.Path]; t != nil && t.source == nil {
			t.source, t.chosen = &e, chosen
		}
	case "wait":
		d, err := limit(e.Text)
		if err != nil {
			return &Error{File: e.File, Line: e.Line, Key: e.Key, Err: err}
		}
		if g.Defaults.Wait == nil {
			g.Defaults.Wait = &d
		}
	}
	return nil
}

// kinds are the kinds of sections with a name, as in [webhook NAME].
var kinds = []string{"webhook", "director.metal.image", "director.metal.flavor", "multimaster"}

// named reports whether a section is one of these.
func named(section string) bool {
	kind, name, ok := strings.Cut(section, " ")
	return ok && slices.Contains(kinds, kind) && strings.TrimSpace(name) != ""
}

// limit reads a duration that limits something. "none" means no limit and is returned as negative.
func limit(s string) (time.Duration, error) {
	if s == "none" || s == "never" || s == "unlimited" {
		return -1, nil
	}
	d, err := units.ParseDuration(s)
	if err == nil && d < 0 {
		err = fmt.Errorf("%q is negative", s)
	}
	return d, err
}
