package applied

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// The actions of changes.
const (
	created   = "created"
	Changed   = "changed"
	Unchanged = "unchanged"
	Pruned    = "pruned"
)

// Change is what becomes of a thing. Was is nil for a new thing, and Now for a removed one.
type Change struct {
	Action   string
	Was, Now *api.AppliedThing
}

// Thing returns Now, or Was if the thing is removed.
func (c Change) Thing() *api.AppliedThing {
	if c.Now != nil {
		return c.Now
	}
	return c.Was
}

// plan computes the changes that a set makes to a state: one for each wanted thing, and one for
// each pruned thing, sorted. It modifies neither argument.
func plan(there []api.AppliedThing, set api.ApplySet) ([]Change, error) {
	if err := checkLabels(set.Labels); err != nil {
		return nil, err
	}
	if set.Prune && len(set.Labels) == 0 {
		return nil, invalid(
			"", "say which: -l app=NAME, and apply with the same label always",
			"prune takes away what has labels, and no label is given",
		)
	}
	if len(set.Things) > maxObjects {
		return nil, invalid("", "", "%d things are more than %d", len(set.Things), maxObjects)
	}
	was := map[string]*api.AppliedThing{}
	for i := range there {
		was[ID(there[i].Kind, there[i].Name)] = &there[i]
	}
	var out []Change
	asked, size := map[string]bool{}, 0
	for _, w := range set.Things {
		now, err := normal(w)
		if err != nil {
			return nil, err
		}
		id := ID(w.Kind, w.Name)
		if asked[id] {
			return nil, invalid(id, "", "it is given a second time")
		}
		asked[id] = true
		for _, f := range now.Files {
			size += len(fileData(f))
		}
		if size > maxSet {
			return nil, invalid("", "apply it in parts, each with a label of its own", "the files hold more than %d MiB", maxSet>>20)
		}
		if was[id] != nil && !set.Take {
			if err := ofAnother(id, was[id].Labels, set.Labels); err != nil {
				return nil, err
			}
		}
		out = append(out, change(was[id], &now, set.Labels))
	}
	if set.Prune {
		for i := range there {
			t := &there[i]
			if !asked[ID(t.Kind, t.Name)] && hasAll(t.Labels, set.Labels) {
				out = append(out, Change{Action: Pruned, Was: t})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return byName(*a.Thing(), *b.Thing()) })
	return out, nil
}

// ofAnother refuses a thing that another set has, by its labels. Two sets with the same thing would
// take it from each other for ever.
func ofAnother(id string, has, wants map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(wants)) {
		if v, ok := has[key]; ok && v != wants[key] {
			return &compute.Error{
				ID: compute.ID(id), Kind: compute.ErrConflict,
				Err:  fmt.Errorf("it is applied with %s=%s, and here with %s=%s", key, v, key, wants[key]),
				Hint: "take it out of one of both, or have it with --take",
			}
		}
	}
	return nil
}

// change returns what becomes of one thing. Without labels, it keeps those it has.
func change(was, now *api.AppliedThing, labels map[string]string) Change {
	if was != nil {
		now.Labels = maps.Clone(was.Labels)
	}
	if len(labels) > 0 {
		now.Labels = maps.Clone(labels)
	}
	if now.Labels == nil {
		now.Labels = map[string]string{}
	}
	switch {
	case was == nil:
		return Change{created, nil, now}
	case was.Digest == now.Digest && maps.Equal(was.Labels, now.Labels):
		return Change{Unchanged, was, was}
	}
	return Change{Changed, was, now}
}

// hasAll reports whether labels contain all of some labels.
func hasAll(has, all map[string]string) bool {
	for key, value := range all {
		if v, ok := has[key]; !ok || v != value {
			return false
		}
	}
	return true
}

// after returns the state after changes.
func after(there []api.AppliedThing, changes []Change) []api.AppliedThing {
	all := map[string]api.AppliedThing{}
	for _, t := range there {
		all[ID(t.Kind, t.Name)] = t
	}
	for _, c := range changes {
		if c.Now == nil {
			delete(all, ID(c.Was.Kind, c.Was.Name))
		} else {
			all[ID(c.Now.Kind, c.Now.Name)] = *c.Now
		}
	}
	return slices.SortedFunc(maps.Values(all), byName)
}

// idle reports whether changes change nothing.
func idle(changes []Change) bool {
	return !slices.ContainsFunc(changes, func(c Change) bool { return c.Action != Unchanged })
}
