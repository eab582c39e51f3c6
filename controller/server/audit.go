package server

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
)

type auditList struct {
	Body struct {
		Acts chosen[api.Act] `json:"acts" doc:"the newest first"`
		Next int64           `json:"next,omitempty" doc:"give it as before for those that follow; left out: there are no more"`
	}
}

// audits serves the audit log.
type audits struct {
	log access.Log // nil: there is none
}

// listAudit returns the entries of the projects that the caller may audit.
func (s *audits) listAudit(ctx context.Context, in *struct {
	Who    string    `query:"who" doc:"only what he did"`
	Act    string    `query:"act" doc:"only this operation, such as acquire or create-token"`
	Since  time.Time `query:"since" doc:"only what is newer"`
	Before int64     `query:"before" minimum:"0" doc:"what comes before the entry of this id; left out: the newest"`
	Limit  int       `query:"limit" minimum:"1" maximum:"10000" default:"100" doc:"so many at most; fewer where they are large"`
}) (*auditList, error) {
	projects, every := request.Caller(ctx).Projects(auth.Audit)
	if every {
		projects = nil
	}
	all, err := s.log.List(
		ctx,
		auth.AuditQuery{Before: in.Before, Since: in.Since, Projects: projects, Who: in.Who, Act: in.Act, Limit: in.Limit},
	)
	if err != nil {
		return nil, err
	}
	out := &auditList{}
	id := func(a auth.AuditEntry) int64 { return a.ID }
	list, last, err := page(ctx, all, in.Limit, nil, id, func(a auth.AuditEntry) (api.Act, bool) { return api.Act(a), true })
	if last == 0 && len(all) == in.Limit {
		last = id(all[len(all)-1])
	}
	out.Body.Acts, out.Body.Next = list, last
	return out, err
}
