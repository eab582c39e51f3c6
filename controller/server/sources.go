package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

type sourceList struct {
	Body struct {
		Sources chosen[api.Source] `json:"sources" doc:"by name"`
	}
}

type sourceAnswer struct{ Body api.Source }

type madeList struct {
	Body struct {
		Made []string `json:"made" doc:"the names of what was made"`
	}
}

type testAnswer struct{ Body api.TestResult }

// sources adds the routes of sources.
func (s *server) sources() {
	register(s, huma.Operation{
		OperationID: "list-sources", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/sources",
		Summary: "The sources, and how they stand", Tags: []string{"sources"},
	}, s.listSources)
	register(s, huma.Operation{
		OperationID: "get-source", Extensions: needs(auth.See), Method: http.MethodGet, Path: "/v1/sources/{source}",
		Summary: "A source, and how it stands", Tags: []string{"sources"}, Errors: []int{404},
	}, s.getSource)
	register(s, huma.Operation{
		OperationID: "fill", Extensions: needs(auth.Manage), Method: http.MethodPost, Path: "/v1/fill",
		Summary: "Bring sources up to what is wanted, once", Tags: []string{"sources"},
		Errors: []int{403, 404, 429, 503},
	}, s.fill)
	register(s, huma.Operation{
		OperationID: "test-source", Extensions: needs(auth.Manage), Method: http.MethodPost,
		Path: "/v1/sources/{source}/test", Summary: "Make an instance, run true on it and discard it, each timed",
		Tags: []string{"sources"}, Errors: []int{403, 404, 429, 503},
	}, s.test)
}

func (s *server) listSources(ctx context.Context, in *struct {
	Fields Fields `query:"fields" example:"name,cached,in_use" doc:"only these fields of each; those that are left out are not there, whatever the schema requires. None: all"`
}) (*sourceList, error) {
	all, err := s.Engine().Status(ctx)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &sourceList{}
	sees := s.seenSources(ctx)
	list := make([]api.Source, 0, len(all))
	for _, v := range all {
		if sees(v.Name) {
			list = append(list, source(v))
		}
	}
	out.Body.Sources, err = choose(list, in.Fields)
	return out, s.fault(ctx, err)
}

func source(v compute.SourceStatus) api.Source {
	broken := ""
	if v.Broken != nil {
		broken = api.Text(v.Broken)
	}
	return api.NewSource(v, broken)
}

func (s *server) getSource(ctx context.Context, in *struct {
	Source string `path:"source"`
}) (*sourceAnswer, error) {
	all, err := s.Engine().Status(ctx)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	sees := s.seenSources(ctx)
	for _, v := range all {
		if v.Name == in.Source && !v.Orphaned && sees(v.Name) {
			return &sourceAnswer{source(v)}, nil
		}
	}
	return nil, s.fault(ctx, noSource(in.Source))
}

func (s *server) fill(ctx context.Context, in *struct {
	Source []string `query:"source" doc:"only these; all unless it is said"`
}) (*madeList, error) {
	made, err := s.Engine().Fill(ctx, in.Source...)
	s.Ring()
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &madeList{}
	out.Body.Made = make([]string, len(made))
	for i, id := range made {
		out.Body.Made[i] = string(id)
	}
	return out, nil
}

func (s *server) test(ctx context.Context, in *struct {
	Source string `path:"source"`
}) (*testAnswer, error) {
	res, err := s.Engine().Test(ctx, in.Source)
	s.Ring()
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &testAnswer{api.NewTestResult(res)}, nil
}
