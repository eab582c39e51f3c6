package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/text/nearest"
)

// ChooseOptions say which nodes may be chosen to be destroyed.
type ChooseOptions struct {
	All   bool     // all nodes of one name; otherwise a name of several is an error
	Force bool     // nodes that deploy did not make, too
	Free  []string // their names may begin so without Force
}

// Choose finds the named nodes, by their names, instances or leases. It refuses ambiguous names and
// protected nodes.
func Choose(all []Existing, names []string, o ChooseOptions) ([]Existing, error) {
	var out []Existing
	var errs []error
	for _, name := range names {
		var found []Existing
		for _, n := range all {
			if n.Lease.Name == name || string(n.Lease.Instance) == name || n.Lease.ID == name {
				found = append(found, n)
			}
		}
		if i := slices.IndexFunc(found, func(n Existing) bool { return n.Lease.ID == name }); i >= 0 {
			found = found[i : i+1]
		}
		switch {
		case len(found) == 0:
			var known []string
			for _, n := range all {
				known = append(known, n.Name())
			}
			hint := "hostler list"
			if meant := nearest.Meant(name, known); meant != "" {
				hint = "did you mean " + meant + "?"
			}
			errs = append(
				errs,
				&compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no node of this name"), Hint: hint},
			)
			continue
		case len(found) > 1 && !o.All:
			var ids []string
			for _, n := range found {
				ids = append(ids, fmt.Sprintf("%s (%s)", n.Lease.ID, n.Lease.Instance))
			}
			errs = append(errs, fault.Conflict("say the id, or --all: "+strings.Join(ids, ", "), "%s: %d are called so", name, len(found)))
			continue
		}
		for _, n := range found {
			if !n.Made() && !Destroyable(n.Name(), o.Free) && !o.Force {
				errs = append(
					errs,
					fault.Denied(
						"--force destroys it all the same",
						"%s: deploy did not make it, and its name begins with none of %s", name,
						strings.Join(o.Free, ", "),
					),
				)
				continue
			}
			if !slices.ContainsFunc(out, func(b Existing) bool { return b.Lease.ID == n.Lease.ID }) {
				out = append(out, n)
			}
		}
	}
	return out, errors.Join(errs...)
}
