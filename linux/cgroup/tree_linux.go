package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Tree is the place for groups of one name. It does not change, and many goroutines may use it.
type Tree struct {
	name   string
	places []place
	known  []string  // controllers that the kernel has, mounted or not
	limits []setting // limits of all groups together, where they work
}

// place is a group below which we may make ours.
type place struct {
	v2          bool
	controllers []string
	dir         string // "": out of reach
	own         string // the directory of this process's own group
	err         error  // why no group can be made here; nil: it can
}

// Abilities says for each ability of a tree why it is missing; nil: it is there.
type Abilities struct {
	CPU, Memory, PIDs error // limits
	Gather            error // processes of a group can be found and ended together
	Delegate          error // a sandbox can be given groups of its own
}

const hint = "`hostler doctor` tells what can be limited on this machine, and how to have more"

// Find finds the places for groups below a directory name, which is letters, digits, "-" and "_".
// It makes nothing and costs two reads of /proc and a few system calls. The error is ErrInvalid for
// the name, or that /proc cannot be read. It is no error that no group can be made: Can tells.
func Find(name string) (*Tree, error) {
	if !valid(name) {
		return nil, &compute.Error{Op: "cgroup.Find", Kind: compute.ErrInvalid, Err: fmt.Errorf("%q is no name for a group", name)}
	}
	mountinfo, err := read("/proc/self/mountinfo")
	if err != nil {
		return nil, &compute.Error{Op: "cgroup.Find", Kind: compute.ErrUnavailable, Err: err}
	}
	groups, err := read("/proc/self/cgroup")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // missing: a kernel without control groups
		return nil, &compute.Error{Op: "cgroup.Find", Kind: compute.ErrUnavailable, Err: err}
	}
	return find(name, parse(mountinfo, groups), os.Geteuid()), nil
}

// find returns the places for groups of this name in the mounted hierarchies. Places of version
// 2 come first; those that uid may not use carry an error.
func find(name string, all []hierarchy, uid int) *Tree {
	t := &Tree{name: name}
	gathers := false
	for i := range all {
		if h := &all[i]; h.v2 && h.mount != "" {
			p := h.findPlace(uid)
			if p.dir != "" {
				s, _ := read(p.dir + "/cgroup.controllers")
				p.controllers = strings.Fields(s)
				t.known = append(t.known, p.controllers...)
			}
			t.places = append(t.places, p)
			gathers = p.err == nil
		}
	}
	for i := range all {
		h := &all[i]
		t.known = append(t.known, h.controllers...)
		if !h.v2 && h.mount != "" && h.wanted(gathers) {
			t.places = append(t.places, h.findPlace(uid))
		}
	}
	return t
}

// wanted reports whether a hierarchy of version 1 has a controller that we use. With gathers,
// version 2 makes the freezer and the counter of time needless.
func (h *hierarchy) wanted(gathers bool) bool {
	return slices.ContainsFunc(h.controllers, func(c string) bool {
		return c == "cpu" || c == "memory" || c == "pids" || !gathers && (c == "freezer" || c == "cpuacct")
	})
}

// findPlace finds the topmost group of our own line that we may write to.
func (h *hierarchy) findPlace(uid int) place {
	line := h.ancestors()
	p := place{v2: h.v2, controllers: h.controllers, own: line[0]}
	top := line[len(line)-1]
	if p.err = h.writable(top); p.err == nil {
		p.dir = top
		return p
	}
	for _, dir := range line {
		err := h.writable(dir)
		if err != nil {
			if p.dir == "" {
				p.err = err
			}
			break
		}
		p.dir, p.err = dir, nil
	}
	if p.dir == "" && h.v2 && h.root == "/" {
		// A session by ssh or on a console is outside of systemd's delegation to its user.
		// Processes cannot be moved there from here, but the groups of other sessions can be seen.
		u := strconv.Itoa(uid)
		if dir := h.mount + "/user.slice/user-" + u + ".slice/user@" + u + ".service"; h.writable(dir) == nil {
			p.dir = dir
			p.err = fmt.Errorf("this session is outside of %s, which is delegated to its user: "+
				"`systemd-run --user --scope hostler ...` runs hostler inside", dir)
		}
	}
	return p
}

// writable returns why no group can be made in a directory; nil: one can.
func (h *hierarchy) writable(dir string) error {
	if h.readOnly {
		return fmt.Errorf("%s is mounted read-only", h.mount)
	}
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if err == nil { // another mount's directory in this place would not have this file
		err = unix.Faccessat(unix.AT_FDCWD, dir+"/cgroup.procs", unix.W_OK, unix.AT_EACCESS)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: not delegated to uid %d", dir, err, os.Geteuid())
}

// valid reports whether s may name a directory of ours. Names with dots are our own.
func valid(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// placeOf finds the place of a controller, or returns why there is none.
func (t *Tree) placeOf(controller string) (*place, error) {
	for i := range t.places {
		if p := &t.places[i]; slices.Contains(p.controllers, controller) {
			return p, p.err
		}
	}
	if v2 := t.v2(); v2 != nil && v2.err != nil {
		return nil, v2.err // the controller may well exist
	}
	if slices.Contains(t.known, controller) {
		return nil, fmt.Errorf("the %s controller is not mounted", controller)
	}
	if v2 := t.v2(); v2 != nil && v2.dir != "" {
		return nil, fmt.Errorf("the %s controller is not in %s/cgroup.controllers", controller, v2.dir)
	}
	return nil, fmt.Errorf("no control groups with the %s controller are mounted", controller)
}

// v2 returns the place of version 2, or nil.
func (t *Tree) v2() *place {
	for i := range t.places {
		if t.places[i].v2 {
			return &t.places[i]
		}
	}
	return nil
}

// Can reports what the tree can do, by the permissions of the files. Examine really tries.
func (t *Tree) Can() Abilities {
	var a Abilities
	_, a.CPU = t.placeOf("cpu")
	_, a.Memory = t.placeOf("memory")
	_, a.PIDs = t.placeOf("pids")
	if v2 := t.v2(); v2 == nil {
		a.Delegate = errors.New("control groups of version 2 are not mounted")
		_, a.Gather = t.placeOf("freezer")
	} else if v2.err != nil {
		a.Delegate = v2.err
		_, a.Gather = t.placeOf("freezer")
	}
	return a
}

// List returns the ids of all existing groups in any hierarchy, complete or not, sorted.
func (t *Tree) List() []string {
	var out []string
	for i := range t.places {
		if t.places[i].dir == "" {
			continue
		}
		entries, _ := os.ReadDir(t.places[i].dir + "/" + t.name)
		for _, e := range entries {
			if e.IsDir() && valid(e.Name()) {
				out = append(out, e.Name())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Open returns an existing group, complete or not, or ErrNotFound. Close it.
func (t *Tree) Open(id string) (*Group, error) {
	if !valid(id) {
		return nil, t.error("Open", id, compute.ErrInvalid, fmt.Errorf("%q is no name for a group", id))
	}
	g := &Group{id: id, fd: -1}
	for i := range t.places {
		p := &t.places[i]
		dir := p.dir + "/" + t.name + "/" + id
		if p.dir == "" || unix.Access(dir, unix.F_OK) != nil {
			continue
		}
		g.take(p, dir)
	}
	if g.v2 == "" && len(g.v1) == 0 {
		return nil, t.error("Open", id, compute.ErrNotFound, nil)
	}
	if err := g.open(); err != nil {
		return nil, t.error("Open", id, compute.ErrFailed, err)
	}
	return g, nil
}

// Remove removes the tree's own directories. The error is ErrConflict while groups are in them.
func (t *Tree) Remove(ctx context.Context) error {
	if ids := t.List(); len(ids) > 0 {
		return t.error("Remove", ids[0], compute.ErrConflict, errors.New("there are still groups"))
	}
	for i := range t.places {
		if t.places[i].dir == "" {
			continue
		}
		if err := removeTree(ctx, t.places[i].dir+"/"+t.name); err != nil {
			return t.error("Remove", "", compute.ErrFailed, err)
		}
	}
	return nil
}

func (t *Tree) error(op, id string, kind *compute.Kind, err error) error {
	e := &compute.Error{Op: "cgroup." + op, ID: compute.ID(id), Kind: kind, Err: err}
	if kind == compute.ErrUnavailable {
		e.Hint = hint
	}
	return e
}
