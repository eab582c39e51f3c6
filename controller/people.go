package controller

import (
	"os"
	"slices"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// authorizing is the section [auth] of hostler.conf.
type authorizing struct {
	// users who are administrators, besides the controller's own and root
	Admins    []string      `conf:"admins"`
	TokenLife time.Duration `conf:"token-life"` // the life of tokens that ask for none; 0: 90 days
	// the longest life that may be asked for; 0: 365 days
	TokenMaxLife time.Duration `conf:"token-max-life"`
	// how long entries of the audit log are kept; 0: 90 days
	AuditKeep time.Duration `conf:"audit-keep"`
	// requests of one user a second; 0: 1000; negative: no limit
	Requests     float64 `conf:"requests"`
	RequestBurst int     `conf:"request-burst"` // requests of one user at once; 0: 2000
	// requests of one user in progress, including streams and waiting ones; 0: 2000; negative: no
	// limit
	AtOnce int `conf:"at-once"`
	// failed authentications of one address a second; 0: 1; negative: no limit
	Failures     float64 `conf:"failures"`
	FailureBurst int     `conf:"failure-burst"` // failed authentications at once; 0: 30
	signingIn
}

// readAuthorizing reads the section [auth].
func readAuthorizing(cfg *config.Config) (s authorizing, err error) {
	err = host.DecodeSection(cfg.Sections["auth"], &s)
	return s, err
}

// people holds the roles of users, as configured.
type people struct {
	admins   []string
	projects []*config.Project
	roles    map[string]map[string]auth.Role // roles of members, by name and project
	only     map[string][]string             // the projects that a source is limited to, by source
}

// anybody holds the roles of every user where no projects are configured.
var anybody = map[string]auth.Role{"": auth.User}

// newPeople reads projects and administrators. strict: a project that cannot be read is an error;
// otherwise it has no members.
func newPeople(cfg *config.Config, strict bool) (*people, error) {
	said, err := readAuthorizing(cfg)
	if err != nil {
		return nil, err
	}
	p := &people{
		admins: append([]string{UserName(os.Geteuid()), UserName(0)}, said.Admins...), projects: cfg.Projects,
		roles: map[string]map[string]auth.Role{}, only: map[string][]string{},
	}
	for _, one := range cfg.Projects {
		if one.Err != nil && strict {
			return nil, host.ConfigError(one.Err)
		}
		for name, role := range one.Members {
			if p.roles[name] == nil {
				p.roles[name] = map[string]auth.Role{}
			}
			p.roles[name][one.Name], _ = auth.ParseRole(role) // config accepts only these roles
		}
	}
	for _, s := range cfg.Sources {
		if len(s.Projects) > 0 {
			p.only[s.Name] = s.Projects
		}
	}
	return p, nil
}

// members returns the roles of a user with these groups.
func (p *people) members(name string, groups []string) (everywhere auth.Role, in map[string]auth.Role) {
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

// names returns the names of the projects.
func (p *people) names() (out []string) {
	for _, one := range p.projects {
		out = append(out, one.Name)
	}
	return out
}

// members returns the roles of a user by the current configuration.
func (k *controller) members(name string, groups []string) (auth.Role, map[string]auth.Role) {
	return k.now.Load().people.members(name, groups)
}

// local returns the principal of a user of this machine.
func (k *controller) local(uid int) auth.Principal {
	out := auth.Principal{Name: UserName(uid), Here: true, Own: uid == os.Geteuid(), Via: "socket"}
	out.Everywhere, out.Roles = k.members(out.Name, nil)
	if out.Own || uid == 0 {
		out.Everywhere = auth.Administrator
	}
	return out
}

// openAuth makes the tokens, the audit log and the limits.
func (k *controller) openAuth() error {
	said, err := readAuthorizing(k.now.Load().cfg)
	if err != nil {
		return err
	}
	k.tokens = auth.NewRing(
		k.Host.Store(),
		auth.RingOptions{Members: k.members, Reserved: reserved, Life: said.TokenLife, MaxLife: said.TokenMaxLife, Log: k.Log},
	)
	k.audit = auth.NewLog(k.Host.Store(), auth.AuditOptions{Keep: said.AuditKeep, Log: k.Log})
	k.limits = auth.NewLimits(auth.LimitOptions{
		Requests: said.Requests, RequestBurst: said.RequestBurst, AtOnce: said.AtOnce, Failures: said.Failures,
		FailureBurst: said.FailureBurst,
	})
	for _, p := range k.now.Load().people.projects {
		if p.Err != nil {
			k.Log.Error("a project cannot be read, so nobody is in it", "project", p.Name, "err", p.Err)
		}
	}
	return nil
}
