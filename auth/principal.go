package auth

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Principal is somebody whom a controller knows, and what he may do. The zero Principal may do
// nothing.
type Principal struct {
	Name   string   // whose the leases are that he takes
	Here   bool     // is a process of the controller's own machine, seen by its socket
	Own    bool     // is the user that the controller runs as
	Via    string   // how he is known: "socket", "token ID", "certificate SERIAL", "session ID"
	From   string   // the address that he comes from; "": this machine's socket
	Groups []string // in which he is by his identity provider
	// the ID of the token that he came with, or of that which opened his session; "": none
	Token string
	Until time.Time // that token is good until then; zero: it does not end by itself

	Project string // that he has chosen, see Choose
	Chosen  bool

	Everywhere Role // in all projects, and on what belongs to none
	// by project; "" is the default project. Not to be changed: it may be shared
	Roles  map[string]Role
	Only   Permissions // at most these, as a token may say; 0: all that his roles give
	Bound  bool        // the only project in Roles alone, as a token may say
	Source string      // this source alone, as a token may say; "": any
	Lease  string      // this lease alone: the principal is the lease's own token; "": any
}

// Scope is what the token that he came with is for alone, in words: a project, a source, a lease;
// "": it is for all that he may. Who comes with tokens of other scopes is somebody else, where it
// matters what was asked for with which: what one gives the other does not tell, and does not end.
func (p Principal) Scope() string {
	var words []string
	if p.Bound {
		words = slices.Sorted(maps.Keys(p.Roles))
		for i := range words {
			words[i] = "project " + words[i]
		}
	}
	if p.Source != "" {
		words = append(words, "source "+p.Source)
	}
	if p.Lease != "" {
		words = append(words, "lease "+p.Lease)
	}
	return strings.Join(words, "\n")
}

// Admin reports whether he may do anything, with anybody's.
func (p Principal) Admin() bool {
	return p.Everywhere == Administrator && p.Only == 0 && p.Source == "" && p.Lease == ""
}

// Same reports whether two may do the same.
func (p Principal) Same(q Principal) bool {
	return p.Name == q.Name && p.Everywhere == q.Everywhere && p.Only == q.Only && p.Source == q.Source &&
		p.Lease == q.Lease && maps.Equal(p.Roles, q.Roles)
}

// Choose is the same principal where he has named a project: he sees and does what is of that
// project, and of others nothing. ok: he is somebody there.
func (p Principal) Choose(project string) (out Principal, ok bool) {
	p.Project, p.Chosen = project, true
	return p, p.Role(project) > Nobody
}

// Role is what he is in a project.
func (p Principal) Role(project string) Role { return max(p.Everywhere, p.Roles[project]) }

// May reports whether he may do something in a project.
func (p Principal) May(what Permission, project string) bool {
	return (!p.Chosen || p.Project == project) && p.cut(p.Role(project).Permissions())&what != 0
}

// Wide reports whether he may do something with what belongs to no project, such as sources, or to
// all of them.
func (p Principal) Wide(what Permission) bool {
	some := p.Everywhere.Permissions()
	if some != 0 {
		some |= Meter // the figures of all projects are for those who see all of them
	}
	return p.cut(some)&what != 0
}

// Somewhere reports whether he may do something in any project, so that it depends on the thing
// whether he may.
func (p Principal) Somewhere(what Permission) bool {
	switch {
	case what == Anyone || what == Known && p.Name != "":
		return true
	case p.Source != "" && what&(Manage|Meter|Audit) != 0: // these are of all sources
		return false
	case p.Wide(what):
		return true
	case what == Manage || what == Meter: // what is the whole controller's is no project's
		return false
	}
	names, _ := p.Projects(what)
	return len(names) > 0
}

// Projects are those in which he may do something, sorted. every: in all that there are, and names
// is nil.
func (p Principal) Projects(what Permission) (names []string, every bool) {
	if p.Chosen {
		if p.May(what, p.Project) {
			return []string{p.Project}, false
		}
		return []string{}, false
	}
	if p.Wide(what) {
		return nil, true
	}
	names = []string{}
	for _, name := range slices.Sorted(maps.Keys(p.Roles)) {
		if p.May(what, name) {
			names = append(names, name)
		}
	}
	return names, false
}

// Home is the project that he means where he names none: the one that he has chosen, else the only
// one where he may do that. ok: there is such a one.
func (p Principal) Home(what Permission) (project string, ok bool) {
	names, every := p.Projects(what)
	switch {
	case p.Chosen:
		return p.Project, len(names) == 1
	case len(p.Roles) == 0 && every:
		return "", true
	case every: // an administrator who is in projects too
		names = slices.Sorted(maps.Keys(p.Roles))
	}
	if len(names) == 1 {
		return names[0], true
	}
	return "", every
}

// cut leaves what a token lets through.
func (p Principal) cut(some Permissions) Permissions {
	if p.Only != 0 {
		some &= p.Only
	}
	return some
}
