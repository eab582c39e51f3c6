package server

import (
	"context"
	"reflect"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/controller/server/access"
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

// sources serves the sources.
type sources struct {
	engine func() Engine
	rules  *access.Rules
	ring   func()
}

func (s *sources) listSources(ctx context.Context, in *struct {
	Fields Fields `query:"fields" example:"name,cached,in_use" doc:"only these fields of each; those that are left out are not there, whatever the schema requires. None: all"`
}) (*sourceList, error) {
	all, err := s.engine().Status(ctx)
	if err != nil {
		return nil, err
	}
	out := &sourceList{}
	sees := s.rules.SeenSources(ctx)
	pick, err := in.Fields.picker(reflect.TypeFor[api.Source]())
	for _, v := range all {
		if err == nil && sees(v.Name) {
			err = out.Body.Sources.add(pick, source(v))
		}
	}
	return out, err
}

func source(v inventory.SourceStatus) api.Source {
	broken := ""
	if v.Broken != nil {
		broken = api.Text(v.Broken)
	}
	return api.NewSource(v, broken)
}

func (s *sources) getSource(ctx context.Context, in *struct {
	Source string `path:"source"`
}) (*sourceAnswer, error) {
	all, err := s.engine().Status(ctx)
	if err != nil {
		return nil, err
	}
	sees := s.rules.SeenSources(ctx)
	for _, v := range all {
		if v.Name == in.Source && !v.Orphaned && sees(v.Name) {
			return &sourceAnswer{source(v)}, nil
		}
	}
	return nil, access.NoSource(in.Source)
}

func (s *sources) fill(ctx context.Context, in *struct {
	Source []string `query:"source" doc:"only these; all unless it is said"`
}) (*madeList, error) {
	made, err := s.engine().Fill(ctx, in.Source...)
	s.ring()
	if err != nil {
		return nil, err
	}
	out := &madeList{}
	out.Body.Made = make([]string, len(made))
	for i, id := range made {
		out.Body.Made[i] = string(id)
	}
	return out, nil
}

func (s *sources) test(ctx context.Context, in *struct {
	Source string `path:"source"`
}) (*testAnswer, error) {
	res, err := s.engine().Test(ctx, in.Source)
	s.ring()
	if err != nil {
		return nil, err
	}
	return &testAnswer{api.NewTestResult(res)}, nil
}
