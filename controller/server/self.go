package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// self tells of the caller and the controller, and has the controller do what is due.
type self struct {
	version  string
	identity func() api.Identity
	slapos   *slapos
	life     Life
}

// add adds the routes about the caller and the controller.
func (s *self) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "self", Extensions: route.Needs(auth.Known), Method: http.MethodGet, Path: "/v1/self",
		Summary: "Who the caller is", Tags: []string{"people"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.Self }, error) {
		p := request.Caller(ctx)
		out := api.Self{Name: p.Name, Admin: p.Admin(), Here: p.Here, Own: p.Own, Version: s.version, Identity: s.identity(),
			Roles: map[string]string{}, Permissions: []string{}, Source: p.Source, Lease: p.Lease, Via: p.Via}
		if _, err := s.slapos.slapping(); err == nil {
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
	})
	route.Add(t, huma.Operation{
		OperationID: "work", Extensions: route.Needs(auth.Manage), Method: http.MethodPost, Path: "/v1/work",
		DefaultStatus: http.StatusNoContent, Summary: "Do now what is due",
		Description: "Ends leases that are over, and cleans and discards what waits for that. It is done by itself too, a little later; who asks for it sees no more of it when this is answered.",
		Tags:        []string{"people"}, Errors: []int{403},
	}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		if s.life.Work != nil {
			return nil, s.life.Work(ctx)
		}
		return nil, nil
	})
	route.Add(t, huma.Operation{
		OperationID: "reload", Extensions: route.Needs(auth.Manage), Method: http.MethodPost, Path: "/v1/reload",
		Summary:     "Read the controller's configuration anew",
		Description: "What is wrong with hostler.conf or a project changes nothing, and is the answer. Sources that are broken are told, and go on as they were; all else is taken.",
		Tags:        []string{"people"}, Errors: []int{400, 403, 409},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.Reloaded }, error) {
		out, err := s.life.Reload(ctx)
		return &struct{ Body api.Reloaded }{out}, err
	})
}
