package server

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/idempotency"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// describe adds to the description of every operation what all have in common: the headers, and the
// problem that any request may be answered with. Authentication, limits and the store may fail for
// all of them.
func describe(t *route.Table) {
	problem := &huma.Response{
		Description: "an error",
		Content:     map[string]*huma.MediaType{api.ProblemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
	}
	header := func(name, doc string, most int) *huma.Param {
		return &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most}}
	}
	key := header(
		api.KeyHeader, "the same request again with this key is answered the same, for a day; another one is a conflict",
		idempotency.MaxKey,
	)
	project := header(api.ProjectHeader, "the project that this is about; all of the caller's unless it is said", 200)
	reason := header(api.ReasonHeader, "why, for the audit log", request.MaxReason)
	for path, op := range t.Operations {
		if op.Responses["default"] == nil || op.Responses["default"].Content[api.ProblemType] != nil {
			op.Responses["default"] = problem
		}
		rule, ok := route.RuleOf(op)
		if rule.Needs == auth.Anyone {
			continue
		}
		op.Parameters = append(op.Parameters, project)
		if ok && rule.Act {
			op.Parameters = append(op.Parameters, reason)
		}
		if op.Method == http.MethodPost && idempotency.Creates(path) {
			op.Parameters = append(op.Parameters, key)
		}
	}
}
