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

// confEntry is an entry of one root's hostler.conf.
type confEntry struct {
	root int // its index among the roots
	entry
}

// addEntry keeps an entry for mergeSettings.
func (g *loader) addEntry(r *Root, e entry) {
	g.entries = append(g.entries, confEntry{slices.IndexFunc(g.Roots, func(o Root) bool { return o.Path == r.Path }), e})
}

// mergeSettings lets the first root that sets a key win, whenever the key was read: those of
// trees come later, once they are trusted.
func (g *loader) mergeSettings() {
	g.Settings, g.Sections = nil, map[string]map[string]Value{}
	slices.SortStableFunc(g.entries, func(a, b confEntry) int { return cmp.Compare(a.root, b.root) })
	for _, e := range g.entries {
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
