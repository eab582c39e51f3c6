package auth

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Principal is a known caller and what it may do. The zero Principal may do nothing. It is a value:
// methods that change it return a copy.
type Principal struct {
	Name   string   // the owner of the leases that it takes
	Here   bool     // a process of the controller's own machine, seen through the socket
	Own    bool     // the user that the controller runs as
	Via    string   // how it is known: "socket", "token ID", "certificate SERIAL", "session ID"
	From   string   // the address of the caller; "": this machine's socket
	Groups []string // its groups at the identity provider
	// the ID of the token it presented, or of the token that opened its session; "": none
	Token string
	Until time.Time // when that token expires; zero: never

	Project string // the project it has chosen, see Choose
	Chosen  bool   // whether Project is set, as "" is a project too

	Everywhere Role // its role in all projects, and on what belongs to none
	// its role by project; "" is the default project. Read only: the map may be shared
	Roles  map[string]Role
	Only   Permissions // limits the permissions to these, as a token may; 0: no limit
	Bound  bool        // the token is for the only project in Roles
	Source string      // the token is for this source; "": for any
	Lease  string      // the caller is this lease's own token; "": it is not
}

// Scope describes what the caller's token is limited to, one line per limit: projects, a source, a
// lease. "" means no limit. Idempotency keys are kept per scope, so tokens of different scopes do
// not see or end each other's requests.
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

// Admin reports whether the principal may do anything, with anything.
func (p Principal) Admin() bool {
	return p.Everywhere == Administrator && p.Only == 0 && p.Source == "" && p.Lease == ""
}

// Same reports whether two principals are the same user with the same permissions.
func (p Principal) Same(q Principal) bool {
	return p.Name == q.Name && p.Everywhere == q.Everywhere && p.Only == q.Only && p.Source == q.Source &&
		p.Lease == q.Lease && maps.Equal(p.Roles, q.Roles)
}

// Choose returns the principal limited to one project: it sees and changes nothing of the others.
// If ok is false, it has no role in that project.
func (p Principal) Choose(project string) (out Principal, ok bool) {
	p.Project, p.Chosen = project, true
	return p, p.Role(project) > Nobody
}

// Role returns the principal's role in a project.
func (p Principal) Role(project string) Role { return max(p.Everywhere, p.Roles[project]) }

// May reports whether the principal may do something in a project.
func (p Principal) May(what Permission, project string) bool {
	return (!p.Chosen || p.Project == project) && p.cut(p.Role(project).Permissions())&what != 0
}

// Wide reports whether the principal may do something with what all projects share, such as
// sources, or in all projects.
func (p Principal) Wide(what Permission) bool {
	some := p.Everywhere.Permissions()
	if some != 0 {
		some |= Meter // the figures of all projects need a role in all projects
	}
	return p.cut(some)&what != 0
}

// Somewhere reports whether the principal may do something in at least one project. If so, the
// thing's own project decides.
func (p Principal) Somewhere(what Permission) bool {
	switch {
	case what == Anyone || what == Known && p.Name != "":
		return true
	case p.Source != "" && what&(Manage|Meter|Audit) != 0: // these concern all sources
		return false
	case p.Wide(what):
		return true
	case what == Manage || what == Meter: // the whole controller belongs to no project
		return false
	}
	names, _ := p.Projects(what)
	return len(names) > 0
}

// Projects returns the projects in which the principal may do something, sorted. If it may in all
// projects, every is true and names is nil.
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

// Home returns the project of a request that names none. It is the chosen project, else the only
// one in which the principal may do that. If ok is false, there is no such project or there are
// several.
func (p Principal) Home(what Permission) (project string, ok bool) {
	names, every := p.Projects(what)
	switch {
	case p.Chosen:
		return p.Project, len(names) == 1
	case len(p.Roles) == 0 && every:
		return "", true
	case every: // an administrator who is also a member of projects
		names = slices.Sorted(maps.Keys(p.Roles))
	}
	if len(names) == 1 {
		return names[0], true
	}
	return "", every
}

// cut removes the permissions that the token does not have.
func (p Principal) cut(some Permissions) Permissions {
	if p.Only != 0 {
		some &= p.Only
	}
	return some
}
