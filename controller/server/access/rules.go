package access

import (
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/request"
)

// What a caller may see. Anything else does not exist for it: lists leave it out, and by name it is
// "not found".

// Rules say what a caller may see and do, by the current configuration. A nil function means that
// there is nothing to limit.
type Rules struct {
	Engine func() Book
	Scope
}

// Scope says what there is, by the current configuration, and whom it is for.
type Scope struct {
	// Limited returns the projects that a source is limited to; nil: not limited.
	Limited func(source string) []string
	// Projects returns the names of all projects.
	Projects func() []string
	// Sources reports whether a source exists.
	Sources func(name string) bool
	// Private reports whether instances of a source with an image ("": the source's own) are only
	// for the controller's own user.
	Private func(source, image string) bool
}

// Book finds what a request names.
type Book interface {
	Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error)
	Leases(ctx context.Context, q inventory.LeaseQuery) ([]compute.Lease, error)
	Leaf(ctx context.Context, id compute.ID) (compute.Instance, error)
}

// SeesSource reports whether a caller may see a source.
func (u *Rules) SeesSource(p auth.Principal, source string) bool {
	if p.Source != "" && p.Source != source {
		return false
	}
	if u.Limited == nil {
		return true
	}
	only := u.Limited(source)
	if only == nil || p.Wide(auth.See) && !p.Chosen {
		return true
	}
	return slices.ContainsFunc(only, func(project string) bool { return p.May(auth.See, project) })
}

// isFor reports whether a source may be used for a project. An administrator's leases of no project
// may be of any source.
func (u *Rules) isFor(p auth.Principal, source, project string) bool {
	if u.Limited == nil {
		return true
	}
	only := u.Limited(source)
	return only == nil || slices.Contains(only, project) || project == "" && p.Admin()
}

// SeenSources returns whether the caller may see a source. A lease's own token sees its source.
func (u *Rules) SeenSources(ctx context.Context) func(source string) bool {
	p := request.Caller(ctx)
	if p.Lease == "" {
		return func(source string) bool { return u.SeesSource(p, source) }
	}
	i, _, err := u.Resolve(ctx, p.Lease)
	return func(source string) bool { return err == nil && source == i.Source }
}

// SeesLease reports whether a caller may see a lease.
func (u *Rules) SeesLease(p auth.Principal, l *compute.Lease) bool {
	if l.Pool != "" && !p.Wide(auth.See) {
		return false // a pool holds it, and its user sees the pool's lease
	}
	return p.May(auth.See, l.Project) && (p.Source == "" || p.Source == l.Source) && (p.Lease == "" || p.Lease == l.ID)
}

// SeesInstance reports whether a caller may see an instance, with its lease or nil. A leased
// instance belongs to its lease; any other is visible to all who see its source.
func (u *Rules) SeesInstance(p auth.Principal, i *compute.Instance, l *compute.Lease) bool {
	if l != nil {
		return u.SeesLease(p, l)
	}
	return p.Lease == "" && (i.State != compute.Leased || p.Wide(auth.See) && !p.Chosen) && u.SeesSource(p, i.Source)
}

// SeesEvent reports whether a caller may see an event. An event of no owner is visible to all who
// see its source.
func (u *Rules) SeesEvent(p auth.Principal, e *compute.Event) bool {
	switch {
	case p.Lease != "":
		return e.Lease == p.Lease
	case p.Source != "" && p.Source != e.Source:
		return false
	case e.Owner == "" && e.Lease == "" && e.Project == "":
		return e.Source == "" || u.SeesSource(p, e.Source)
	}
	return p.May(auth.See, e.Project)
}

// SeenProjects returns the projects whose leases and events a caller may see; nil: all.
func SeenProjects(p auth.Principal) []string {
	names, _ := p.Projects(auth.See)
	return names
}

// Resolve finds an instance and its lease that the caller may see.
func (u *Rules) Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	i, l, err := u.find(ctx, name)
	if err == nil && !u.SeesInstance(request.Caller(ctx), &i, l) {
		err = unseen(name)
	}
	return i, l, err
}

// find finds an instance and its lease by name. If several leases share the instance, it prefers
// the caller's own, then one that the caller may see.
func (u *Rules) find(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	i, l, err := u.Engine().Resolve(ctx, name)
	if err == nil && l != nil && l.Name == name && name != string(i.ID) {
		return u.lease(ctx, name, i, l)
	}
	if err != nil || l == nil || l.Share == nil || name != string(i.ID) {
		return i, l, err
	}
	of, err := u.LeasesOf(ctx, []compute.Instance{i})
	if err != nil {
		return i, l, err
	}
	seen := of[i.ID]
	if n := slices.IndexFunc(seen, func(l *compute.Lease) bool { return l.Owner == request.Caller(ctx).Name }); n >= 0 {
		return i, seen[n], nil
	} else if len(seen) > 0 {
		return i, seen[0], nil
	}
	return i, l, nil
}

// lease finds a lease by a name that several projects may have given. It prefers the caller's own,
// then the only one that the caller may see; several are a conflict. i and l are any match, and the
// result if the caller may see none.
func (u *Rules) lease(ctx context.Context, name string, i compute.Instance, l *compute.Lease) (compute.Instance, *compute.Lease, error) {
	p := request.Caller(ctx)
	all, err := u.Engine().Leases(ctx, inventory.LeaseQuery{Name: name, Projects: SeenProjects(p)})
	if err != nil {
		return i, l, err
	}
	seen := slices.DeleteFunc(all, func(l compute.Lease) bool { return !u.SeesLease(p, &l) })
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
	return u.Engine().Resolve(ctx, seen[0].ID)
}

// LeasesOf returns the leases of instances that the caller may see, the oldest first. An instance
// has one lease, or several that share it.
func (u *Rules) LeasesOf(ctx context.Context, instances []compute.Instance) (map[compute.ID][]*compute.Lease, error) {
	var leased []compute.ID
	for _, i := range instances {
		if i.State == compute.Leased {
			leased = append(leased, i.ID)
		}
	}
	if len(leased) == 0 {
		return nil, nil
	}
	leases, err := u.Engine().Leases(ctx, inventory.LeaseQuery{Instances: leased})
	if err != nil {
		return nil, err
	}
	of := make(map[compute.ID][]*compute.Lease, len(leases))
	p := request.Caller(ctx)
	for i, l := range leases {
		if u.SeesLease(p, &leases[i]) {
			of[l.Instance] = append(of[l.Instance], &leases[i])
		}
	}
	return of, nil
}

// ProjectOf returns the project of the thing that a request names, for the audit log. It asks the
// engine only if the caller's projects leave a choice. "": not known.
func (u *Rules) ProjectOf(ctx context.Context, p auth.Principal, what auth.Permission, name string) string {
	if p.Chosen {
		return p.Project
	}
	if u.Projects == nil || len(u.Projects()) == 0 {
		return ""
	}
	if some, every := p.Projects(what); !every && len(some) == 1 {
		return some[0]
	}
	if _, l, err := u.find(ctx, name); err == nil && l != nil {
		return l.Project
	}
	return ""
}

// About sets the leases that are given back or held in the audit log's entry.
func (u *Rules) About(ctx context.Context, names []string) {
	if len(names) > 0 {
		request.About(ctx, u.ProjectOf(ctx, request.Caller(ctx), auth.Release, names[0]), names...)
	}
}

// unseen is the error for what the caller may not see; it is the same as for what does not exist.
func unseen(name string) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name"),
		Hint: "`hostler status -v` shows those that there are",
	}
}

// NoSource is the error for a source that does not exist, or that the caller may not see.
func NoSource(name string) error {
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no such source"),
		Hint: "`hostler status` shows those that there are",
	}
}

// Who returns the user for whom the engine acts. It is the caller, any owner if the caller asks for
// that and has the permission, or the holder of one lease. Who.Within limits the engine to the
// projects where the caller has the permission.
func Who(ctx context.Context, anyones bool, lease string, what auth.Permission) (compute.Who, error) {
	p := request.Caller(ctx)
	switch {
	case anyones && p.Lease != "":
		return compute.Who{}, Lacks(p, auth.Others)
	case anyones && !p.Somewhere(auth.Others):
		return compute.Who{}, Lacks(p, auth.Others)
	case !p.Somewhere(what):
		return compute.Who{}, Lacks(p, what)
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

// Acted returns the error of an action on names as the caller may see it: if it may not see one of
// them, that it does not exist.
func (u *Rules) Acted(ctx context.Context, w compute.Who, err error, names ...compute.ID) error {
	if err == nil || w.Within == nil {
		return err
	}
	p := request.Caller(ctx)
	for _, name := range names {
		i, l, e := u.find(ctx, string(name))
		if e == nil && !u.SeesInstance(p, &i, l) {
			return unseen(string(name))
		}
	}
	return err
}
