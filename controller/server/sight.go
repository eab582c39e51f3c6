package server

import (
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// What of all that there is somebody sees. What he does not see is not there: it is left out of
// lists, and "not found" by its name.

// seesSource reports whether somebody sees a source at all.
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

// isFor reports whether a source is for a project. An administrator's own leases are of no project,
// and may be of any source.
func (s *server) isFor(p auth.Principal, source, project string) bool {
	if s.Limited == nil {
		return true
	}
	only := s.Limited(source)
	return only == nil || slices.Contains(only, project) || project == "" && p.Admin()
}

// seenSources tells which sources the asker sees. A lease's own token shows that of its lease.
func (s *server) seenSources(ctx context.Context) func(source string) bool {
	p := asker(ctx)
	if p.Lease == "" {
		return func(source string) bool { return s.seesSource(p, source) }
	}
	i, _, err := s.resolve(ctx, p.Lease)
	return func(source string) bool { return err == nil && source == i.Source }
}

// seesLease reports whether somebody sees a lease.
func (s *server) seesLease(p auth.Principal, l *compute.Lease) bool {
	if l.Pool != "" && !p.Wide(auth.See) {
		return false // it is a pool's, and its user sees that one
	}
	return p.May(auth.See, l.Project) && (p.Source == "" || p.Source == l.Source) && (p.Lease == "" || p.Lease == l.ID)
}

// seesInstance reports whether somebody sees an instance, which is under a lease or under none.
// What others have leased is theirs; what nobody has is seen by all who see its source.
func (s *server) seesInstance(p auth.Principal, i *compute.Instance, l *compute.Lease) bool {
	if l != nil {
		return s.seesLease(p, l)
	}
	return p.Lease == "" && (i.State != compute.Leased || p.Wide(auth.See) && !p.Chosen) && s.seesSource(p, i.Source)
}

// seesEvent reports whether somebody sees an event. One that is nobody's is seen by all who see its
// source.
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

// seenProjects are those whose leases and events somebody sees; nil: all.
func seenProjects(p auth.Principal) []string {
	names, _ := p.Projects(auth.See)
	return names
}

// resolve finds an instance and its lease for somebody who sees them.
func (s *server) resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	i, l, err := s.find(ctx, name)
	if err == nil && !s.seesInstance(asker(ctx), &i, l) {
		err = unseen(name)
	}
	return i, l, err
}

// find finds an instance and its lease. Of several that have parts of an instance which is named it
// is the asker's own, else one that he sees.
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

// named finds the lease that somebody means by a name, which each project may have given once: of
// those that he sees his own, else the only one. i and l are one of them, of whatever project; he
// is told that it is not there where he sees none.
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

// unseen is the error for what somebody does not see, which is that for what there is not.
func unseen(name string) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name"),
		Hint: "`hostler status -v` shows those that there are",
	}
}

// noSource is the error for a source that there is not, or that the asker does not see.
func noSource(name string) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no such source"),
		Hint: "`hostler status` shows those that there are",
	}
}

// who is on whose behalf something is done that needs a permission: the asker's, or anybody's if he
// says so and may; or by a lease's own id. The engine does it for leases of those projects alone
// where he may.
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

// both are the projects that are among these and those.
func both(these []string, allThese bool, those []string, allThose bool) ([]string, bool) {
	if allThese {
		return those, allThose
	}
	if allThose {
		return these, false
	}
	return slices.DeleteFunc(slices.Clone(these), func(name string) bool { return !slices.Contains(those, name) }), false
}

// acted is the error of something that was done with names, as the asker may hear it: of what he
// does not see, that it is not there.
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
