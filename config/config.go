package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/text/nearest"
	"github.com/hostler-project/hostler/text/units"
)

// LoadOptions say where to look. The zero value looks where a user's command does, and takes any
// key in a type's section.
type LoadOptions struct {
	Dir       string              // the tree's directory, -C; "": the current one
	ConfigDir string              // --config; "": none. It must exist
	Env       func(string) string // nil: os.Getenv
	Home      string              // the user's home directory; "": as Env has HOME
	System    string              // "": /etc/hostler

	// Compat reads crcache's two roots alone, as crcache did: DIR/.crcache is not searched upward,
	// and an unknown key is but a warning.
	Compat bool
	// Lenient takes an unknown key of a source for but a warning, and has no sandbox unless one is
	// configured: for the other old programs, which find their sources in ours.
	Lenient bool
	// Dirs are read before all other roots, in their order. They exist.
	Dirs []string
	// Kinds are the kinds of sources that there are. Of any other all keys pass.
	Kinds provider.Table
	// CheckWindow says what is wrong with the cron expressions of a window of [schedule]; nil:
	// nothing ever is.
	CheckWindow func(begin, end string) error
	// Applied names the directory of what was applied, by what the other roots say; it is read
	// after them, so what stands in files counts. "": there is none. nil: there never is.
	Applied func(*Config) string
	// Trust has what the user has approved; without Dir, that is nothing.
	Trust TrustStore
}

// Config is what was found.
type Config struct {
	Roots    []Root
	Sources  []*Source  // sorted by name
	Projects []*Project // sorted by name
	Bundles  []*Bundle  // sorted by name
	Jobs     []*Job     // the first of each name
	Defaults Defaults
	// the further sections of hostler.conf, by name and key ("-" as "_"), such without a key too:
	// each part decodes its own
	Sections map[string]map[string]Value
	// all of hostler.conf, [defaults] too, with where each comes from; by section and key
	Settings []Setting
	Warnings []error // what is odd and breaks nothing

	opt     LoadOptions
	dangers []Danger
}

// Defaults are the section [defaults] of hostler.conf.
type Defaults struct {
	Source string         // "": not set, or Err
	Err    error          // why Source cannot be used: a tree sets it, and waits for approval; nil
	Wait   *time.Duration // at most so long in a queue; nil: not set; negative: without limit
}

// hostler.conf's sections, with their keys where they are read here.
var sections = map[string][]string{
	"defaults": {"source", "wait"}, "store": nil, "apply": nil, "director": nil, "images": nil, "director.metal": nil,
	"director.metal.strategy": nil, "director.metal.scout": nil, "auth": nil, "controller": nil, "run": nil,
	"results": nil, "env": nil, "sync": nil, "slap": nil, "resources": nil, "fetch": nil,
	"cloud": nil, "cloud.prices": nil, "deploy": nil, "deploy.vars": nil, "deploy.images": nil, "deploy.image-bundles": nil,
}

// Load reads the configuration. A source that is broken has its Err and breaks nothing else. The
// error, an *Error, is about a directory asked for that is not there, or about hostler.conf; in the
// second case the Config is there too, with all that could be read.
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
	g := &gathering{Config: c, byName: map[string]*Source{}, trees: map[string]*tree{}, instead: map[string]*Source{}}
	for i := range c.Roots {
		if e := g.root(&c.Roots[i]); err == nil {
			err = e
		}
	}
	g.lookBehindTrees()
	g.applyTrust()
	g.settle()
	if opt.Applied != nil { // when it is settled what hostler.conf says
		if dir := opt.Applied(c); dir != "" {
			c.Roots = append(c.Roots, appliedRoot(dir))
			_ = g.root(&c.Roots[len(c.Roots)-1]) // a hostler.conf is not read there
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
	g.closeTrees()
	return c, err
}

// implicit names the sources that are there without configuration. The former programs had this
// machine alone.
func (o *LoadOptions) implicit() []string {
	return o.Kinds.Names(func(k *provider.Kind) bool {
		return k.BuiltIn && (!k.Linux || runtime.GOOS == "linux") && (k.Itself || !o.Compat && !o.Lenient)
	})
}

// Source returns the source of that name, or an *Error that names the nearest.
func (c *Config) Source(name string) (*Source, error) {
	var names []string
	for _, s := range c.Sources {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, &Error{Source: name, Msg: "there is no such source", Nearest: nearest.Near(name, names)}
}

// Lacks tells whether a source was taken out: its place was read, and has none of that name, not
// one that another root's shadows either.
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

// gathering is the state of one Load.
type gathering struct {
	*Config
	byName map[string]*Source
	trees  map[string]*tree // by root
	said   []said           // of hostler.conf, in the order in which it was read

	instead map[string]*Source // by name: what a tree's source takes the place of
}

func (g *gathering) add(s *Source) {
	g.byName[s.Name] = s
	g.Sources = append(g.Sources, s)
}

func (g *gathering) warn(err error) { g.Warnings = append(g.Warnings, err) }

// root reads one of them. The error is about its hostler.conf.
func (g *gathering) root(r *Root) error {
	if !r.Exists {
		switch {
		case r.Err != nil:
			g.warn(r.Err)
		case r.Kind == "env":
			g.warn(&Error{File: r.Path, Msg: "is not a directory, and $HOSTLER_CONFIG names it"})
		}
		return nil
	}
	p, err := openPlace(r)
	if err != nil {
		r.Err = &Error{File: r.Path, Err: bare(err)}
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

func (g *gathering) sources(r *Root, p *place) {
	entries, err := p.list("sources")
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.Err = &Error{File: r.Path + "/sources", Err: bare(err)}
			g.warn(r.Err)
		}
		return
	}
	for _, e := range entries {
		first := g.byName[e.Name()]
		if first != nil {
			first.Shadowed = append(first.Shadowed, sourceFile(r, e.Name()))
			if !r.Tree {
				g.behind(first, r, p)
				continue
			}
		}
		s, warnings := readSource(r, p, e.Name(), &g.opt)
		if r.Tree {
			// what is approved does not depend on what shadows it
			g.trees[r.Path].sources = append(g.trees[r.Path].sources, s)
		}
		if first == nil {
			g.add(s)
			g.Warnings = append(g.Warnings, warnings...)
		}
	}
}

// behind keeps what a tree's source takes the place of.
func (g *gathering) behind(first *Source, r *Root, p *place) {
	if first.Tree && g.instead[first.Name] == nil {
		g.instead[first.Name], _ = readSource(r, p, first.Name, &g.opt)
	}
}

// lookBehindTrees finds what was applied under names that trees have too. What the trees say of
// where that is does not count here.
func (g *gathering) lookBehindTrees() {
	if len(g.trees) == 0 || g.opt.Applied == nil {
		return
	}
	g.settle()
	dir := g.opt.Applied(g.Config)
	if dir == "" {
		return
	}
	r := appliedRoot(dir)
	p, err := openPlace(&r)
	if err != nil {
		return
	}
	entries, _ := p.list("sources") // what cannot be read is said when it is read for good
	for _, e := range entries {
		if first := g.byName[e.Name()]; first != nil {
			g.behind(first, &r, p)
		}
	}
}

func (g *gathering) hostlerConf(r *Root, p *place) error {
	file := r.Path + "/hostler.conf"
	data, err := p.read("hostler.conf", maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Error{File: file, Err: bare(err)}
	}
	entries, err := parse(file, data, false, false)
	if err != nil {
		return err
	}
	for _, e := range titles(file, data) {
		if e.section != "defaults" && !slices.ContainsFunc(entries, func(o entry) bool { return o.section == e.section }) {
			entries = append(entries, e) // that it stands there may be all that is to be said
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

// setting takes one key of a hostler.conf, or a section without any.
func (g *gathering) setting(r *Root, e entry) error {
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
		g.say(r, e)
		return nil
	}
	if !slices.Contains(known, key) {
		return &Error{File: e.File, Line: e.Line, Key: e.Key, Msg: "unknown key", Nearest: nearest.Near(key, known)}
	}
	g.say(r, e)
	switch key {
	case "source":
		chosen := g.Defaults.Source == ""
		g.Defaults.Source = cmp.Or(g.Defaults.Source, e.Text)
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

// kinds are the sections of which there are several of a kind, each with its name: [webhook NAME].
var kinds = []string{"webhook", "director.metal.image", "director.metal.flavor", "multimaster"}

// named reports whether a section is one of these.
func named(section string) bool {
	kind, name, ok := strings.Cut(section, " ")
	return ok && slices.Contains(kinds, kind) && strings.TrimSpace(name) != ""
}

// limit reads a duration that bounds something: not negative, or "none" for no bound, which is then
// negative.
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
