package cgroup

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Parsed tells in words what parse makes of the two files, a line for each hierarchy that is
// mounted.
func Parsed(mountinfo, groups string) string {
	var b strings.Builder
	for _, h := range parse(mountinfo, groups) {
		what := strings.Join(h.controllers, "+")
		if h.v2 {
			what = "v2"
		}
		if h.mount == "" {
			fmt.Fprintf(&b, "%s is not mounted\n", what)
			continue
		}
		mode := "rw"
		if h.readOnly {
			mode = "ro"
		}
		fmt.Fprintf(&b, "%s %s %s\n", what, mode, strings.Join(h.ancestors(), " < "))
	}
	return b.String()
}

// Dirs returns the directories of a group.
func (g *Group) Dirs() []string {
	var out []string
	for _, d := range g.v1 {
		out = append(out, d.dir)
	}
	if g.v2 != "" {
		out = append(out, g.v2)
	}
	return out
}

// Parents returns the tree's own directories.
func (t *Tree) Parents() []string {
	var out []string
	for _, p := range t.places {
		if p.dir != "" {
			out = append(out, p.dir+"/"+t.name)
		}
	}
	return out
}

// Only returns the tree as it would be with version 1 only, or version 2 only.
func (t *Tree) Only(version int) *Tree {
	mountinfo, _ := read("/proc/self/mountinfo")
	groups, _ := read("/proc/self/cgroup")
	all := slices.DeleteFunc(parse(mountinfo, groups), func(h hierarchy) bool { return h.v2 != (version == 2) })
	return find(t.name, all, os.Geteuid())
}

// MakeWith makes a group with a setting of any controller: version 2 on a machine whose usual
// controllers are in version 1.
func (t *Tree) MakeWith(controller, id, file, text string) (*Group, error) {
	p, err := t.placeOf(controller)
	if err != nil {
		return nil, err
	}
	g := &Group{id: id, fd: -1}
	return g, t.fill(context.Background(), g, []setting{{p, controller, file, text, false}})
}
