package server

import (
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// What a caller may see. Anything else does not exist for it: lists leave it out, and by name it is
// "not found".

// seesSource reports whether a caller may see a source.
func (s *server) seesSource(p auth.Principal, source string) bool {
	if p.Source != "" && p.Source != source {
		return false
	}
	if s.Limited == nil {
		return true
	}
	only := s.Limited(source)
	if only == nil || p.Wide(auth.See) && !p.Chosen {
		return true
	}
	return slices.ContainsFunc(only, func(project string) bool { return p.May(auth.See, project) })
}

// isFor reports whether a source may be used for a project. An administrator's leases of no project
// may be of any source.
func (s *server) isFor(p auth.Principal, source, project string) bool {
	if s.Limited == nil {
		return true
	}
	only := s.Limited(source)
	return only == nil || slices.Contains(only, project) || project == "" && p.Admin()
}

// seenSources returns whether the caller may see a source. A lease's own token sees its source.
func (s *server) seenSources(ctx context.Context) func(source string) bool {
	p := asker(ctx)
	if p.Lease == "" {
		return func(source string) bool { return s.seesSource(p, source) }
	}
	i, _, err := s.resolve(ctx, p.Lease)
	return func(source string) bool { return err == nil && source == i.Source }
}

// seesLease reports whether a caller may see a lease.
func (s *server) seesLease(p auth.Principal, l *compute.Lease) bool {
	if l.Pool != "" && !p.Wide(auth.See) {
		return false // a pool holds it, and its user sees the pool's lease
	}
	return p.May(auth.See, l.Project) && (p.Source == "" || p.Source == l.Source) && (p.Lease == "" || p.Lease == l.ID)
}

// seesInstance reports whether a caller may see an instance, with its lease or nil. A leased
// instance belongs to its lease; any other is visible to all who see its source.
func (s *server) seesInstance(p auth.Principal, i *compute.Instance, l *compute.Lease) bool {
	if l != nil {
		return s.seesLease(p, l)
	}
	return p.Lease == "" && (i.State != compute.Leased || p.Wide(auth.See) && !p.Chosen) && s.seesSource(p, i.Source)
}

// seesEvent reports whether a caller may see an event. An event of no owner is visible to all who
// see its source.
func (s *server) seesEvent(p auth.Principal, e *compute.Event) bool {
	switch {
	case p.Lease != "":
		return e.Lease == p.Lease
	case p.Source != "" && p.Source != e.Source:
		return false
	case e.Owner == "" && e.Lease == "" && e.Project == "":
		return e.Source == "" || s.seesSource(p, e.Source)
	}
	return p.May(auth.See, e.Project)
}

// seenProjects returns the projects whose leases and events a caller may see; nil: all.
func seenProjects(p auth.Principal) []string {
	names, _ := p.Projects(auth.See)
	return names
}

// resolve finds an instance and its lease that the caller may see.
func (s *server) resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	i, l, err := s.find(ctx, name)
	if err == nil && !s.seesInstance(asker(ctx), &i, l) {
		err = unseen(name)
	}
	return i, l, err
}

// find finds an instance and its lease by name. If several leases share the instance, it prefers
// the caller's own, then one that the caller may see.
func (s *server) find(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	i, l, err := s.Engine().Resolve(ctx, name)
	if err == nil && l != nil && l.Name == name && name != string(i.ID) {
		return s.named(ctx, name, i, l)
	}
	if err != nil || l == nil || l.Share == nil || name != string(i.ID) {
		return i, l, err
	}
	of, err := s.leasesOf(ctx, []compute.Instance{i})
	if err != nil {
		return i, l, err
	}
	seen := of[i.ID]
	if n := slices.IndexFunc(seen, func(l *compute.Lease) bool { return l.Owner == asker(ctx).Name }); n >= 0 {
		return i, seen[n], nil
	} else if len(seen) > 0 {
		return i, seen[0], nil
	}
	return i, l, nil
}

// named finds a lease by a name that several projects may have given. It prefers the caller's own,
// then the only one that the caller may see; several are a conflict. i and l are any match, and the
// result if the caller may see none.
func (s *server) named(ctx context.Context, name string, i compute.Instance, l *compute.Lease) (compute.Instance, *compute.Lease, error) {
	p := asker(ctx)
	all, err := s.Engine().Leases(ctx, compute.LeaseQuery{Name: name, Projects: seenProjects(p)})
	if err != nil {
		return i, l, err
	}
	seen := slices.DeleteFunc(all, func(l compute.Lease) bool { return !s.seesLease(p, &l) })
	own := slices.DeleteFunc(slices.Clone(seen), func(l compute.Lease) bool { return l.Owner != p.Name })
	switch {
	case len(own) == 1:
		seen = own
	case len(seen) == 0:
		return i, l, nil
	case len(seen) > 1:
		return i, l, &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrConflict,
			Err: errors.New("leases of several projects have this name"), Hint: "name the lease by its id",
		}
	}
	if seen[0].ID == l.ID {
		return i, l, nil
	}
	return s.Engine().Resolve(ctx, seen[0].ID)
}

// unseen is the error for what the caller may not see; it is the same as for what does not exist.
func unseen(name string) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name"),
		Hint: "`hostler status -v` shows those that there are",
	}
}

// noSource is the error for a source that does not exist, or that the caller may not see.
func noSource(name string) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no such source"),
		Hint: "`hostler status` shows those that there are",
	}
}

// who returns for whom the engine acts: the caller, any owner if the caller asks for that and may,
// or the holder of one lease. Within limits it to the projects where the caller has the permission.
func who(ctx context.Context, anyones bool, lease string, what auth.Permission) (compute.Who, error) {
	p := asker(ctx)
	switch {
	case anyones && p.Lease != "":
		return compute.Who{}, lacks(p, auth.Others)
	case anyones && !p.Somewhere(auth.Others):
		return compute.Who{}, lacks(p, auth.Others)
	case !p.Somewhere(what):
		return compute.Who{}, lacks(p, what)
	case p.Lease != "" && lease != "" && lease != p.Lease:
		return compute.Who{}, unseen(lease)
	case p.Lease != "":
		lease = p.Lease
	}
	out := compute.Who{Owner: p.Name, Admin: anyones, Lease: lease}
	projects, every := p.Projects(what)
	if anyones {
		others, everys := p.Projects(auth.Others)
		projects, every = both(projects, every, others, everys)
	}
	if !every || p.Source != "" || p.Lease != "" || !p.Wide(auth.Manage) {
		out.Within = &compute.Bounds{Projects: projects, Source: p.Source}
	}
	return out, nil
}

// both returns the projects that are in both lists. A list may stand for all projects.
func both(these []string, allThese bool, those []string, allThose bool) ([]string, bool) {
	if allThese {
		return those, allThose
	}
	if allThose {
		return these, false
	}
	return slices.DeleteFunc(slices.Clone(these), func(name string) bool { return !slices.Contains(those, name) }), false
}

// acted returns the error of an action on names as the caller may see it: if it may not see one of
// them, that it does not exist.
func (s *server) acted(ctx context.Context, w compute.Who, err error, names ...compute.ID) error {
	if err == nil || w.Within == nil {
		return err
	}
	p := asker(ctx)
	for _, name := range names {
		i, l, e := s.find(ctx, string(name))
		if e == nil && !s.seesInstance(p, &i, l) {
			return unseen(string(name))
		}
	}
	return err
}
