package controller

import (
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/apiprocess"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/host"
)

// openAuth makes the tokens, the audit log and the limits.
func (k *controller) openAuth() error {
	connections, err := apiprocess.MaxConnections()
	if err != nil {
		return err
	}
	now := k.now.Load()
	k.tokens = auth.NewTokenRegistry(k.Host.Store(), auth.TokenRegistryOptions{
		Members: k.members, Reserved: callers.Reserved, DefaultLife: now.auth.TokenLife, MaxLife: now.auth.TokenMaxLife, Log: k.Log,
	})
	k.audit = auth.NewLog(k.Host.Store(), auth.AuditOptions{Keep: now.auth.AuditKeep, Log: k.Log})
	limits := now.auth.Limits()
	limits.All = connections * 3 / 4
	k.limits = auth.NewLimits(limits)
	for _, p := range now.cfg.Projects {
		if p.Err != nil {
			k.Log.Error("a project cannot be read, so nobody is in it", "project", p.Name, "err", p.Err)
		}
	}
	return nil
}

// authenticator returns what identifies callers. token is the administrator's token, or "".
func (k *controller) authenticator(token string) *callers.Authenticator {
	return callers.New(callers.Options{
		Tokens: k.tokens, AdministratorToken: token, Certificates: k.files, Members: k.members,
	})
}

// members returns the roles of a user by the current configuration.
func (k *controller) members(name string, groups []string) (auth.Role, map[string]auth.Role) {
	return k.now.Load().roles.Of(name, groups)
}

// checkProjects returns why a project cannot be read.
func checkProjects(cfg *config.Config) error {
	for _, one := range cfg.Projects {
		if one.Err != nil {
			return host.ConfigError(one.Err)
		}
	}
	return nil
}

// limitedSources returns the projects that a source is limited to, by source.
func limitedSources(cfg *config.Config) map[string][]string {
	out := map[string][]string{}
	for _, s := range cfg.Sources {
		if len(s.Projects) > 0 {
			out[s.Name] = s.Projects
		}
	}
	return out
}

func projectNames(cfg *config.Config) (out []string) {
	for _, one := range cfg.Projects {
		out = append(out, one.Name)
	}
	return out
}
