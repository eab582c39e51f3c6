package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
)

// self adds the routes about the caller and the controller.
func (s *server) self() {
	register(s, huma.Operation{
		OperationID: "self", Extensions: needs(auth.Known), Method: http.MethodGet, Path: "/v1/self",
		Summary: "Who the caller is", Tags: []string{"people"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.Self }, error) {
		p := asker(ctx)
		out := api.Self{Name: p.Name, Admin: p.Admin(), Here: p.Here, Own: p.Own, Version: s.Version, Identity: s.Identity(),
			Roles: map[string]string{}, Permissions: []string{}, Source: p.Source, Lease: p.Lease, Via: p.Via}
		if _, err := s.slapping(); err == nil {
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
			out.Configuration, out.Store = "", "" // they show paths on this machine
		}
		return &struct{ Body api.Self }{out}, nil
	})
	register(s, huma.Operation{
		OperationID: "work", Extensions: needs(auth.Manage), Method: http.MethodPost, Path: "/v1/work",
		DefaultStatus: http.StatusNoContent, Summary: "Do now what is due",
		Description: "Ends leases that are over, and cleans and discards what waits for that. It is done by itself too, a little later; who asks for it sees no more of it when this is answered.",
		Tags:        []string{"people"}, Errors: []int{403},
	}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		if s.Work != nil {
			return nil, s.fault(ctx, s.Work(ctx))
		}
		return nil, nil
	})
	register(s, huma.Operation{
		OperationID: "reload", Extensions: needs(auth.Manage), Method: http.MethodPost, Path: "/v1/reload",
		Summary:     "Read the controller's configuration anew",
		Description: "What is wrong with hostler.conf or a project changes nothing, and is the answer. Sources that are broken are told, and go on as they were; all else is taken.",
		Tags:        []string{"people"}, Errors: []int{400, 403, 409},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.Reloaded }, error) {
		out, err := s.Reload(ctx)
		return &struct{ Body api.Reloaded }{out}, s.fault(ctx, err)
	})
}
