package server

import (
	"context"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/request"
)

// self tells of the caller and the controller, and has the controller do what is due.
type self struct {
	version  string
	identity func() api.Identity
	slapos   *slapos
	life     Lifecycle
}

// describe returns who the caller is, and which controller this is.
func (s *self) describe(ctx context.Context, _ *struct{}) (*struct{ Body api.Self }, error) {
	p := request.Caller(ctx)
	out := api.Self{Name: p.Name, Admin: p.Admin(), Here: p.Here, Own: p.Own, Version: s.version, Identity: s.identity(),
		Roles: map[string]string{}, Permissions: []string{}, Source: p.Source, Lease: p.Lease, Via: p.Via}
	if _, err := s.slapos.current(); err == nil {
		out.Slap = p.Somewhere(auth.See) && p.Source == "" && p.Lease == ""
	}
	if p.Everywhere != auth.Nobody {
		out.Role = p.Everywhere.String()
	}
	for project, role := range p.Roles {
		out.Roles[project] = role.String()
	}
	if may := p.Permissions().String(); may != "" {
		out.Permissions = strings.Split(may, ",")
	}
	if !p.Until.IsZero() {
		out.Expires = &p.Until
	}
	if !p.Own {
		// they show paths and numbers of this machine
		out.Configuration, out.Store, out.APIProcess = "", "", ""
	}
	return &struct{ Body api.Self }{out}, nil
}
