package access

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/provider"
)

// MayTake returns why a caller may not take what it asks for, or nil. It uses the projects, sources
// and people of the current configuration.
func (u *Rules) MayTake(p auth.Principal, req compute.Request) error {
	refusal := func(text, hint string) error {
		return &compute.Error{ID: compute.ID(req.Source), Kind: compute.ErrDenied, Err: errors.New(text), Hint: hint}
	}
	known := u.Projects == nil || req.Project == "" || slices.Contains(u.Projects(), req.Project)
	switch {
	case !p.May(auth.Take, req.Project) || !known:
		if req.Project == "" {
			return Lacks(p, auth.Take)
		}
		return refusal("you may take no leases in the project "+req.Project, saysWho)
	case !u.SeesSource(p, req.Source) || !u.isFor(p, req.Source, req.Project):
		return NoSource(req.Source)
	case req.Owner != p.Name && !p.May(auth.Others, req.Project):
		return refusal("only operators and administrators take leases for others", "")
	case !p.Own && u.Private != nil && u.Private(req.Source, ""):
		return refusal(
			"it shows the files of the controller's own user, or lets who is in it be root there, so it is for that user alone",
			"hostler --embedded takes one of your own machine and user",
		)
	}
	return nil
}

// MayEnter refuses a connection into an instance that shows the files of the controller's own user,
// or is its machine. That user and the lease's own token may connect. A caller that may use other
// users' leases may not: it could act as that user there.
func (u *Rules) MayEnter(ctx context.Context, lease compute.Lease) error {
	if p := request.Caller(ctx); p.Own || p.Lease != "" || u.Private == nil {
		return nil
	}
	image := ""
	if i, err := u.Engine().Leaf(ctx, lease.Instance); err != nil {
		return err
	} else if i.Facts[provider.FactChosen] != "" {
		image = i.Facts[provider.FactImage]
	}
	if !u.Private(lease.Source, "") && (image == "" || !u.Private(lease.Source, image)) {
		return nil
	}
	return &compute.Error{
		ID: lease.Instance, Kind: compute.ErrDenied,
		Err: errors.New("it shows the files of the controller's own user, so it is for that user alone"),
	}
}

// SeesWaiter reports whether a caller may see a waiting request.
func SeesWaiter(p auth.Principal, w *inventory.Waiter) bool {
	return p.Lease == "" && p.May(auth.See, w.Project) && (p.Source == "" || p.Source == w.Source)
}

// MayCancel returns why a caller may not end a request that waits, or nil.
func MayCancel(p auth.Principal, w *inventory.Waiter) error {
	if own := w.Owner == p.Name && p.May(auth.Take, w.Project); !own && !p.May(auth.Others, w.Project) {
		return Lacks(p, auth.Others)
	}
	return nil
}

// MayName returns why the caller may not name so many things at once, or nil.
func MayName(ctx context.Context, names []string) error {
	p := request.Caller(ctx)
	return policy.Names(p.Own && p.Admin(), len(names))
}

// ManagesToken reports whether a caller may see a token and revoke it.
func ManagesToken(p auth.Principal, t *auth.Token) bool {
	switch {
	case p.Chosen && (!t.Bound || t.Project != p.Project):
		return false
	case p.Bound && (!t.Bound || p.Roles[t.Project] == auth.Nobody):
		return false
	case t.Owner == p.Name && p.Source == "", p.Admin():
		return true
	case t.Owner == p.Name:
		return t.Source == p.Source
	}
	return t.Bound && p.May(auth.Others, t.Project) && p.Source == ""
}

// Names refuses a token for a project or source that does not exist, or that its maker may not see.
func (u *Rules) Names(p auth.Principal, t *auth.Token) error {
	if t.Bound && t.Project != "" && u.Projects != nil {
		all := u.Projects()
		if !slices.Contains(all, t.Project) {
			seen := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return p.Role(name) == auth.Nobody })
			return unknown("project", t.Project, seen)
		}
	}
	if t.Source != "" && (u.Sources != nil && !u.Sources(t.Source) || !u.SeesSource(p, t.Source)) {
		return NoSource(t.Source)
	}
	return nil
}

// unknown is the error for an unknown name, with the known ones.
func unknown(what, name string, known []string) error {
	const some = 20
	hint := "no " + what + " is configured; projects/NAME/project.conf makes one"
	if len(known) > 0 {
		hint = "there are " + strings.Join(known[:min(len(known), some)], ", ")
	}
	if len(known) > some {
		hint += ", ..."
	}
	return &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("there is no such " + what), Hint: hint}
}
