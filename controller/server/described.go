package server

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
)

// describe adds to the description of every operation what all have in common: the headers, and the
// problem that any request may be answered with. Authentication, limits and the store may fail for
// all of them.
func (s *server) describe() {
	problem := &huma.Response{
		Description: "an error",
		Content:     map[string]*huma.MediaType{api.ProblemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
	}
	header := func(name, doc string, most int) *huma.Param {
		return &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most}}
	}
	key := header(api.KeyHeader, "the same request again with this key is answered the same, for a day; another one is a conflict", maxKey)
	project := header(api.ProjectHeader, "the project that this is about; all of the caller's unless it is said", 200)
	reason := header(api.ReasonHeader, "why, for the audit log", maxReason)
	for path, item := range s.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete} {
			if op == nil {
				continue
			}
			if op.Responses["default"] == nil || op.Responses["default"].Content[api.ProblemType] != nil {
				op.Responses["default"] = problem
			}
			if op.Extensions[permission] == auth.Anyone {
				continue
			}
			op.Parameters = append(op.Parameters, project)
			if what, ok := op.Extensions[permission].(auth.Permission); ok && isAct(op, what) {
				op.Parameters = append(op.Parameters, reason)
			}
			if op.Method == http.MethodPost && creates(path) {
				op.Parameters = append(op.Parameters, key)
			}
		}
	}
}
