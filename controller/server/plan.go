package server

import (
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/access"
)

// Planner reports what the director plans, what it did, and how sources were used.
type Planner interface {
	// Plan returns what would be done now. fresh: look again; otherwise a result of the last few
	// seconds will do.
	Plan(ctx context.Context, fresh bool) (api.Plans, error)
	// Directives returns at most so many of the recorded directives, the newest first, of the
	// sources that may selects.
	Directives(most int, may func(source string) bool) []api.Directed
	// History returns how the sources that may selects were used in the last hour, or day.
	History(day bool, may func(source string) bool) api.History
}

type plansAnswer struct{ Body api.Plans }

type historyAnswer struct{ Body api.History }

// plans serves what a Planner reports.
type plans struct {
	engine  func() Engine
	rules   *access.Rules
	planner Planner // nil: there is none
}

// Sources is the query that selects sources.
type Sources struct {
	Source []string `query:"source" maxItems:"1000" doc:"only these; all unless it is said"`
}

// may returns a function that selects the wanted sources among those that the caller may see.
func (s *plans) may(ctx context.Context, in Sources) (func(string) bool, error) {
	if s.planner == nil {
		return nil, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("this controller keeps no plan and no history")}
	}
	all, err := s.engine().Status(ctx)
	if err != nil {
		return nil, err
	}
	known, pools, sees := map[string]bool{}, map[string]bool{}, s.rules.SeenSources(ctx)
	for _, v := range all {
		known[v.Name] = sees(v.Name)
		pools[v.Name] = v.Type == "pool"
	}
	for _, name := range in.Source {
		if !known[name] {
			return nil, &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no such source"),
				Hint: "`hostler status` shows those that there are",
			}
		}
	}
	return func(name string) bool {
		if len(in.Source) == 0 {
			return known[name] && !pools[name] // what a pool gives is counted at its children
		}
		return slices.Contains(in.Source, name)
	}, nil
}

func (s *plans) plan(ctx context.Context, in *struct {
	Sources
	Fresh bool `query:"fresh" doc:"look anew; else what was seen in the last seconds does"`
	Limit int  `query:"limit" minimum:"0" maximum:"500" default:"100" doc:"so many directives at most"`
}) (*plansAnswer, error) {
	may, err := s.may(ctx, in.Sources)
	if err != nil {
		return nil, err
	}
	out, err := s.planner.Plan(ctx, in.Fresh)
	if err != nil {
		return nil, err
	}
	sees := s.rules.SeenSources(ctx)
	asked := func(name string) bool { return sees(name) && (len(in.Source) == 0 || may(name)) }
	out.Plans = slices.DeleteFunc(slices.Clone(out.Plans), func(p api.Plan) bool { return !asked(p.Source) })
	out.Directives = s.planner.Directives(in.Limit, asked)
	return &plansAnswer{out}, nil
}

func (s *plans) history(ctx context.Context, in *struct {
	Sources
	Span string `query:"span" enum:"hour,day" default:"hour" doc:"how far back: an hour by the minute, a day by the quarter of an hour"`
}) (*historyAnswer, error) {
	may, err := s.may(ctx, in.Sources)
	if err != nil {
		return nil, err
	}
	return &historyAnswer{s.planner.History(in.Span == "day", may)}, nil
}
