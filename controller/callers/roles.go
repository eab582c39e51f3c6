package callers

import (
	"os"
	"slices"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/config"
)

// Roles are the roles of users, as configured.
type Roles struct {
	admins   []string
	projects []*config.Project
	roles    map[string]map[string]auth.Role // roles of members, by name and project
}

// anybody holds the roles of every user where no projects are configured.
var anybody = map[string]auth.Role{"": auth.User}

// NewRoles returns the roles of the members of projects, and of administrators: the configured
// ones, the controller's own user and root. A project that cannot be read has no members.
func NewRoles(admins []string, projects []*config.Project) *Roles {
	p := &Roles{
		admins: append([]string{UserName(os.Geteuid()), UserName(0)}, admins...), projects: projects,
		roles: map[string]map[string]auth.Role{},
	}
	for _, one := range projects {
		for name, role := range one.Members {
			if p.roles[name] == nil {
				p.roles[name] = map[string]auth.Role{}
			}
			p.roles[name][one.Name], _ = auth.ParseRole(role) // config accepts only these roles
		}
	}
	return p
}

// Of returns the roles of a user with these groups. It is an auth.Members.
func (p *Roles) Of(name string, groups []string) (everywhere auth.Role, in map[string]auth.Role) {
	if slices.Contains(p.admins, name) {
		everywhere = auth.Administrator
	}
	if len(p.projects) == 0 {
		return everywhere, anybody
	}
	in = p.roles[name]
	if len(groups) == 0 {
		return everywhere, in
	}
	all := map[string]auth.Role{}
	for project, role := range in {
		all[project] = role
	}
	for _, one := range p.projects {
		for _, g := range groups {
			role, _ := auth.ParseRole(one.Groups[g]) // Nobody if it is not in the project
			if role > all[one.Name] {
				all[one.Name] = role
			}
		}
	}
	return everywhere, all
}
