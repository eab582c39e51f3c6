package config

import (
	"cmp"
	"slices"
)

// Setting is a key of hostler.conf that at least one root sets.
type Setting struct {
	Section, Key string  // Key with "-" as "_"
	Value                // the value of the first root
	Shadowed     []Value // the values of later roots
}

// Name returns SECTION.KEY.
func (s Setting) Name() string { return s.Section + "." + s.Key }

// said is an entry of one root's hostler.conf.
type said struct {
	root int // its index among the roots
	entry
}

// say keeps an entry for settle.
func (g *gathering) say(r *Root, e entry) {
	g.said = append(g.said, said{slices.IndexFunc(g.Roots, func(o Root) bool { return o.Path == r.Path }), e})
}

// settle lets the first root that sets a key win, whenever the key was read: those of trees come
// later, once they are trusted.
func (g *gathering) settle() {
	g.Settings, g.Sections = nil, map[string]map[string]Value{}
	slices.SortStableFunc(g.said, func(a, b said) int { return cmp.Compare(a.root, b.root) })
	for _, e := range g.said {
		if g.Sections[e.section] == nil && e.section != "defaults" { // Defaults has that one
			g.Sections[e.section] = map[string]Value{}
		}
		if e.Key == "" {
			continue
		}
		key := foldKey(e.Key)
		i := slices.IndexFunc(g.Settings, func(s Setting) bool { return s.Section == e.section && s.Key == key })
		if i >= 0 {
			g.Settings[i].Shadowed = append(g.Settings[i].Shadowed, e.Value)
			continue
		}
		g.Settings = append(g.Settings, Setting{Section: e.section, Key: key, Value: e.Value})
		if e.section != "defaults" {
			g.Sections[e.section][key] = e.Value
		}
	}
	slices.SortStableFunc(g.Settings, func(a, b Setting) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Key, b.Key))
	})
}
