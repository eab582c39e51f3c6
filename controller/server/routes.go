package server

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
)

// This file has the operations of the API: method, path, permission and summary of each. Those for
// connecting to instances stand in package connect, those for signing in in package login.

// add adds the routes of leases.
func (s *leases) add(t *route.Table) {
	s.addAcquire(t)
	route.Add(t, huma.Operation{
		OperationID: "list-leases", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/leases",
		Summary: "The leases that live", Tags: []string{"leases"},
	}, s.listLeases)
	route.Add(t, huma.Operation{
		OperationID: "get-lease", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/leases/{lease}",
		Summary: "A lease, by its id, its name or its instance", Tags: []string{"leases"}, Errors: []int{404},
	}, s.getLease)
	route.Add(t, huma.Operation{
		OperationID: "release", Extensions: route.Needs(auth.Release), Method: http.MethodDelete, Path: "/v1/leases/{lease}",
		DefaultStatus: http.StatusNoContent, Summary: "Give an instance back",
		Tags: []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.release)
	route.Add(t, huma.Operation{
		OperationID: "release-many", Extensions: route.Needs(auth.Release), Method: http.MethodPost, Path: "/v1/release",
		DefaultStatus: http.StatusNoContent, MaxBodyBytes: route.MaxBody,
		Summary: "Give instances back, all or none", Tags: []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.releaseMany)
	route.Add(t, huma.Operation{
		OperationID: "extend", Extensions: route.Needs(auth.Extend), Method: http.MethodPost,
		Path: "/v1/leases/{lease}/extend", MaxBodyBytes: route.MaxBody, Summary: "Keep a lease longer",
		Tags:   []string{"leases"},
		Errors: []int{403, 404, 409},
	}, s.extend)
	route.Add(t, huma.Operation{
		OperationID: "use", Extensions: route.Needs(auth.Use), Method: http.MethodPost, Path: "/v1/leases/{lease}/use",
		Summary: "Say that the instance is used now", Tags: []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.use)
	route.Add(t, huma.Operation{
		OperationID: "give-up", Extensions: route.Needs(auth.Take), Method: http.MethodDelete, Path: "/v1/requests/{key}",
		DefaultStatus: http.StatusNoContent,
		Summary:       "Give up a request for leases", Tags: []string{"leases"}, Errors: []int{400},
		Description: "The caller's request with this " + api.KeyHeader + " ends, if it is still being served, what it was given is given back, " +
			"and the same that comes later is a conflict. " +
			"It is for who asked, wants it no longer, and does not know whether there was an answer.",
	}, s.giveUp)
}

// addAcquire adds the route that takes leases.
func (s *leases) addAcquire(t *route.Table) {
	schema := func(v any, name string) *huma.Schema {
		return t.Schema(reflect.TypeOf(v), name)
	}
	route.Add(t, huma.Operation{
		OperationID: "acquire", Extensions: route.Needs(auth.Take), Method: http.MethodPost, Path: "/v1/leases",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: route.MaxBody,
		Summary: "Take instances", Tags: []string{"leases"}, Errors: []int{400, 403, 404, 408, 409, 422, 429, 503},
		Description: "What stands ready is taken, the rest is made; all are given or none. Where the source's maximum is reached the request waits. " +
			"Who accepts " + api.EventStream + " and has to wait hears meanwhile how it comes on: Server-Sent Events named " + api.EventProgress + ", and at the end one named " +
			api.EventAcquired + " or " + api.EventProblem + ". Who hangs up before he has read what he got gives up, and keeps nothing. " +
			"With the header " + api.KeyHeader + " the same request again is answered the same, for a day; another one with that key is a conflict.",
		Responses: map[string]*huma.Response{
			"201": {
				Description: "They are given",
				Content:     map[string]*huma.MediaType{"application/json": {Schema: schema(api.Acquired{}, "Acquired")}},
			},
			"200": {
				Description: "It takes a while",
				Content:     map[string]*huma.MediaType{api.EventStream: {Schema: schema(api.Progress{}, "Progress")}},
			},
		},
	}, s.acquire)
}

// add adds the routes of instances.
func (s *instances) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "list-instances", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/instances",
		Summary: "The instances that there are", Tags: []string{"instances"},
	}, s.listInstances)
	route.Add(t, huma.Operation{
		OperationID: "get-instance", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/instances/{name}",
		Summary: "An instance, by its name or that of its lease", Tags: []string{"instances"}, Errors: []int{404},
	}, s.getInstance)
	route.Add(t, huma.Operation{
		OperationID: "get-leaf", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/instances/{name}/leaf",
		Summary: "The real instance behind a pool's", Tags: []string{"instances"}, Errors: []int{404},
	}, s.getLeaf)
	route.Add(t, huma.Operation{
		OperationID: "hold", Extensions: route.Needs(auth.Release), Method: http.MethodPost, Path: "/v1/hold",
		DefaultStatus: http.StatusNoContent, MaxBodyBytes: route.MaxBody,
		Summary: "Keep instances aside for a person to look at", Tags: []string{"instances"}, Errors: []int{403, 404, 409},
	}, s.hold)
}

// add adds the routes of sources.
func (s *sources) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "list-sources", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/sources",
		Summary: "The sources, and how they stand", Tags: []string{"sources"},
	}, s.listSources)
	route.Add(t, huma.Operation{
		OperationID: "get-source", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/sources/{source}",
		Summary: "A source, and how it stands", Tags: []string{"sources"}, Errors: []int{404},
	}, s.getSource)
	route.Add(t, huma.Operation{
		OperationID: "fill", Extensions: route.Needs(auth.Manage), Method: http.MethodPost, Path: "/v1/fill",
		Summary: "Bring sources up to what is wanted, once", Tags: []string{"sources"},
		Errors: []int{403, 404, 429, 503},
	}, s.fill)
	route.Add(t, huma.Operation{
		OperationID: "test-source", Extensions: route.Needs(auth.Manage), Method: http.MethodPost,
		Path: "/v1/sources/{source}/test", Summary: "Make an instance, run true on it and discard it, each timed",
		Tags: []string{"sources"}, Errors: []int{403, 404, 429, 503},
	}, s.test)
}

// add adds the routes of the queue.
func (s *queue) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "list-queue", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/queue",
		Summary: "The requests that wait, their places and for how long", Tags: []string{"queue"},
	}, s.listQueue)
	route.Add(t, huma.Operation{
		OperationID: "cancel", Extensions: route.Needs(auth.Take), Method: http.MethodDelete, Path: "/v1/queue/{id}",
		DefaultStatus: http.StatusNoContent,
		Summary:       "Take a request out of the queue; whoever waits for it gets an error", Tags: []string{"queue"},
		Errors: []int{403, 404},
	}, s.cancel)
}

// add adds the routes of the journal.
func (s *journal) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "list-events", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/events",
		Summary: "What happened", Tags: []string{"events"},
	}, s.listEvents)
	schema := t.Schema(reflect.TypeFor[compute.Event](), "Event")
	route.Add(t, huma.Operation{
		OperationID: "watch-events", Extensions: route.Needs(auth.See), Method: http.MethodGet, Path: "/v1/events/watch",
		Summary: "What happens, as it happens", Tags: []string{"events"},
		Description: "Server-Sent Events: the data of each is an event of the journal, its id the event's. With the header Last-Event-ID it goes on after that one, whichever controller is asked.",
		Responses: map[string]*huma.Response{"200": {
			Description: "a stream without end",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
		}},
	}, s.watchEvents)
}

// add adds the routes of plans and history.
func (s *plans) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "plan", Method: http.MethodGet, Path: "/v1/plan",
		Summary: "What would be made, started, stopped and discarded now, and why", Tags: []string{"sources"},
		Extensions:  route.Needs(auth.See),
		Description: "Nothing is done by asking. The directives that were recorded lately are told too.", Errors: []int{404, 503},
	}, s.plan)
	route.Add(t, huma.Operation{
		OperationID: "history", Method: http.MethodGet, Path: "/v1/history",
		Summary: "How sources were used in the last hour or day", Tags: []string{"sources"},
		Extensions: route.Needs(auth.See), Errors: []int{404, 503},
	}, s.history)
}

// add adds the routes about the caller and the controller.
func (s *self) add(t *route.Table) {
	route.Add(t, huma.Operation{
		OperationID: "self", Extensions: route.Needs(auth.Known), Method: http.MethodGet, Path: "/v1/self",
		Summary: "Who the caller is", Tags: []string{"people"},
	}, s.describe)
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

// add adds the routes of tokens.
func (s *tokens) add(t *route.Table) {
	if s.ring == nil {
		return
	}
	const never = "The answer has the token, which is not kept: who loses the answer revokes the token and makes another."
	route.Add(t, huma.Operation{
		OperationID: "create-token", Extensions: route.Needs(auth.Tokens), Method: http.MethodPost, Path: "/v1/tokens",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: route.MaxBody,
		Summary: "Make a token", Tags: []string{"people"}, Errors: []int{400, 403, 409},
		Description: never + " With the header " + api.KeyHeader + " one is made once: the same request again is a conflict that names the token.",
	}, s.createToken)
	route.Add(t, huma.Operation{
		OperationID: "list-tokens", Extensions: route.Needs(auth.Tokens), Method: http.MethodGet, Path: "/v1/tokens",
		Summary: "The tokens that are good", Tags: []string{"people"},
		Description: "One's own; for operators those that are for their projects alone too, for administrators all.",
	}, s.listTokens)
	route.Add(t, huma.Operation{
		OperationID: "revoke-token", Extensions: route.Needs(auth.Tokens), Method: http.MethodDelete, Path: "/v1/tokens/{id}",
		DefaultStatus: http.StatusNoContent, Summary: "Revoke a token at once",
		Description: "With it end those that were made with it, and what is open by it: streams within a few seconds.",
		Tags:        []string{"people"}, Errors: []int{403, 404},
	}, s.revokeToken)
	route.Add(t, huma.Operation{
		OperationID: "create-lease-token", Extensions: route.Needs(auth.Use), Method: http.MethodPost,
		Path: "/v1/leases/{lease}/token", DefaultStatus: http.StatusCreated, MaxBodyBytes: route.MaxBody,
		Summary:     "Make a lease's own token",
		Description: "Who has it may use that lease and give it back, and nothing else. It ends with the lease. " + never + " " + api.KeyHeader + " means nothing here.",
		Tags:        []string{"leases"}, Errors: []int{403, 404, 409},
	}, s.createLeaseToken)
}

// add adds the route of the audit log.
func (s *audits) add(t *route.Table) {
	if s.log == nil {
		return
	}
	route.Add(t, huma.Operation{
		OperationID: "list-audit", Extensions: route.Needs(auth.Audit), Method: http.MethodGet, Path: "/v1/audit",
		Summary: "Who did what, and what was refused to whom", Tags: []string{"people"},
		Description: "For operators that of their projects, for administrators all. What was done in the last moment is not in it yet.",
	}, s.listAudit)
}

// add adds the routes of webhooks, if there may be any.
func (s *webhooks) add(t *route.Table) {
	if s.now == nil {
		return
	}
	type named struct {
		Webhook string `path:"webhook"`
	}
	type list struct {
		Body struct {
			Webhooks []api.Webhook `json:"webhooks" doc:"by name"`
		}
	}
	route.Add(t, huma.Operation{
		OperationID: "list-webhooks", Extensions: route.Needs(auth.Manage), Method: http.MethodGet, Path: "/v1/webhooks",
		Summary: "The receivers of events, and how far each has come",
		Tags:    []string{"events"}, Errors: []int{403},
	}, func(ctx context.Context, _ *struct{}) (*list, error) {
		all, err := s.now().List(ctx)
		out := &list{}
		out.Body.Webhooks = append([]api.Webhook{}, all...)
		return out, err
	})
	route.Add(t, huma.Operation{
		OperationID: "test-webhook", Extensions: route.Needs(auth.Manage), Method: http.MethodPost,
		Path: "/v1/webhooks/{webhook}/test", Summary: "Make a delivery of nothing, once, and say what came of it",
		Tags: []string{"events"}, Errors: []int{403, 404},
	}, func(ctx context.Context, in *named) (*struct{ Body api.WebhookTest }, error) {
		out, err := s.now().Test(ctx, in.Webhook)
		return &struct{ Body api.WebhookTest }{out}, err
	})
	route.Add(t, huma.Operation{
		OperationID: "skip-webhook", Extensions: route.Needs(auth.Manage), Method: http.MethodPost,
		Path: "/v1/webhooks/{webhook}/skip", DefaultStatus: http.StatusNoContent,
		Summary: "Give up what it was not told yet, and go on with what happens from now on", Tags: []string{"events"},
		Errors: []int{403, 404},
	}, func(ctx context.Context, in *named) (*struct{}, error) {
		return nil, s.now().Skip(ctx, in.Webhook)
	})
}

// add adds the routes of applied things, if there is anything that applies them.
func (s *things) add(t *route.Table) {
	if s.applied == nil {
		return
	}
	const much = "The files of all hold 32 MiB at most, those of one 16. What is applied from elsewhere than the controller's own machine runs nothing there: docs/apply.md says what is refused."
	route.Add(t, huma.Operation{
		OperationID: "list-applied", Extensions: route.Needs(auth.Manage), Method: http.MethodGet, Path: "/v1/applied",
		Summary: "What was applied: sources, bundles and projects, without their files",
		Tags:    []string{"applied"}, Errors: []int{400, 403},
	}, s.listApplied)
	route.Add(t, huma.Operation{
		OperationID: "apply", Extensions: route.Needs(auth.Manage), Method: http.MethodPut, Path: "/v1/applied", MaxBodyBytes: maxSet,
		Summary:     "Bring what is applied to what a set says, all of it or nothing",
		Description: "The same set again changes nothing. What stands in a file of the controller is refused, and so is a set that would break something. " + much,
		Tags:        []string{"applied"}, Errors: []int{400, 403, 409, 422},
	}, s.apply)
	route.Add(t, huma.Operation{
		OperationID: "get-applied", Extensions: route.Needs(auth.Manage), Method: http.MethodGet,
		Path: "/v1/applied/{kind}/{name}", Summary: "A thing that was applied, with its files",
		Tags: []string{"applied"}, Errors: []int{403, 404},
	}, func(ctx context.Context, in *thingPath) (*thingAnswer, error) {
		t, err := s.applied.AppliedThing(ctx, in.Kind, in.Name)
		return answerThing(t), err
	})
	route.Add(t, huma.Operation{
		OperationID: "put-applied", Extensions: route.Needs(auth.Manage), Method: http.MethodPut,
		Path: "/v1/applied/{kind}/{name}", MaxBodyBytes: maxSet, Summary: "Bring one thing to what is wanted",
		Description: "The same again changes nothing. With If-Match it is a conflict unless the thing is at that revision; with If-None-Match: * unless it is not there. " + much,
		Tags:        []string{"applied"}, Errors: []int{400, 403, 409, 422},
	}, s.putApplied)
	route.Add(t, huma.Operation{
		OperationID: "delete-applied", Extensions: route.Needs(auth.Manage), Method: http.MethodDelete,
		Path: "/v1/applied/{kind}/{name}", DefaultStatus: http.StatusNoContent,
		Summary:     "Take away a thing that was applied",
		Description: "Living leases of a source go on until they end, as when its file is taken away.",
		Tags:        []string{"applied"}, Errors: []int{400, 403, 404, 409},
	}, func(ctx context.Context, in *struct {
		Kind  string `path:"kind" enum:"source,bundle,project"`
		Name  string `path:"name" maxLength:"63"`
		Match string `header:"If-Match" doc:"the revision in quotes; it is a conflict if the thing is at another"`
	}) (*struct{}, error) {
		request.About(ctx, "", in.Kind+"/"+in.Name)
		revision, err := matches(in.Match)
		if err == nil {
			err = s.applied.DeleteApplied(ctx, request.Caller(ctx), in.Kind, in.Name, revision)
		}
		return nil, err
	})
}

// add adds the route of the metrics.
func (s Telemetry) add(t *route.Table) {
	if s.Metrics == nil {
		return
	}
	t.AddRaw(&huma.Operation{
		OperationID: "metrics", Extensions: route.Needs(auth.Meter), Method: http.MethodGet, Path: "/metrics",
		Summary: "Metrics of this controller", Tags: []string{"people"},
		Description: "In the text format of Prometheus.",
		Responses: map[string]*huma.Response{"200": {Description: "families of samples", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, s.Metrics.ServeHTTP)
}

// add adds the routes of the SlapOS master. They exist without a master too, so that the API is
// the same everywhere.
func (s *slapos) add(t *route.Table) {
	see, use := route.Needs(auth.See), route.Needs(auth.Use)
	addSlap(s, t, huma.Operation{
		OperationID: "list-slap-computers", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/computers",
		Summary: "The computers of the SlapOS master",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			api.SlapPage
			Match string `query:"match" maxLength:"200" doc:"only those with this text in reference or title"`
		}) (api.SlapComputerPage, error) {
			return m.Computers(ctx, p, in.Match, in.SlapPage)
		})
	addSlap(s, t, huma.Operation{
		OperationID: "get-slap-computer", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/computers/{computer}",
		Summary: "A computer of the SlapOS master, with its partitions and releases",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *OnSlapComputer) (api.SlapComputerDetail, error) {
			return m.Computer(ctx, p, in.Computer)
		})
	addSlap(s, t, huma.Operation{
		OperationID: "get-slap-usage", Extensions: see, Method: http.MethodGet,
		Path: "/v1/slap/computers/{computer}/usage", Summary: "What was reported of the use of a computer",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			OnSlapComputer
			Of string `query:"of" doc:"of this partition; left out: of the computer"`
		}) (api.SlapUsage, error) {
			return m.Usage(ctx, p, in.Computer, in.Of)
		})
	addSlap(s, t, huma.Operation{
		OperationID: "list-slap-instances", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/instances",
		Summary: "The instances of the SlapOS master",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			api.SlapQuery
			api.SlapPage
		}) (api.SlapInstancePage, error) {
			return m.Instances(ctx, p, in.SlapQuery, in.SlapPage)
		})
	addSlap(s, t, huma.Operation{
		OperationID: "get-slap-instance", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/instances/{instance}",
		Summary: "An instance of the SlapOS master",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *OfSlapInstance) (api.SlapInstanceDetail, error) {
			return m.Instance(ctx, p, in.Instance)
		})
	addSlap(s, t, huma.Operation{OperationID: "get-slap-connection", Extensions: use, Method: http.MethodGet,
		Path: "/v1/slap/instances/{instance}/connection", Summary: "The connection parameters of an instance",
		Errors:      []int{403},
		Description: "They may be secret, so it is in the audit log who read them."},
		func(ctx context.Context, m Slap, p auth.Principal, in *OfSlapInstance) (api.SlapConnection, error) {
			request.About(ctx, "", in.Instance)
			return m.Connection(ctx, p, in.Instance)
		})
	addSlap(s, t, huma.Operation{
		OperationID: "get-slap-software", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/software",
		Summary: "What a software release says of itself, with the schemas of its parameters",
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			Release string `query:"release" maxLength:"2000" doc:"its URL"`
		}) (api.SlapSoftware, error) {
			return m.Software(ctx, p, in.Release)
		})
	addSlap(s, t, huma.Operation{OperationID: "request-slap-instance", Extensions: use, Method: http.MethodPost,
		Path: "/v1/slap/instances", Summary: "Ask for an instance tree, or for one's own of that title to be so",
		Errors:      []int{400, 403, 429},
		Description: "Where there is no place for it, it is kept without one, with the reason, and placed by a later request."},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct{ Body api.SlapRequest }) (api.SlapInstanceDetail, error) {
			request.About(ctx, p.Project, in.Body.Title)
			return m.Request(ctx, p, in.Body)
		})
	addSlap(s, t, huma.Operation{
		OperationID: "change-slap-instance", Extensions: use, Method: http.MethodPost,
		Path:    "/v1/slap/instances/{instance}",
		Summary: "Change an instance tree: start, stop or destroy it, or give it other parameters",
		Errors:  []int{400, 403, 409, 429},
	},
		func(ctx context.Context, m Slap, p auth.Principal, in *struct {
			OfSlapInstance
			Body api.SlapChange
		}) (api.SlapInstanceDetail, error) {
			request.About(ctx, "", in.Instance)
			return m.Change(ctx, p, in.Instance, in.Body)
		})
	route.Add(t, huma.Operation{OperationID: "supply-slap-release", Extensions: use, Method: http.MethodPost,
		Path: "/v1/slap/computers/{computer}/supply", DefaultStatus: http.StatusNoContent,
		Summary: "Want a software release on a computer, or want it away", Tags: []string{"slapos"},
		Errors: []int{400, 403, 404}}, func(ctx context.Context, in *struct {
		OnSlapComputer
		Body api.SlapSupply
	}) (*struct{}, error) {
		m, err := s.current()
		if err == nil {
			request.About(ctx, "", in.Computer, in.Body.Release)
			err = m.Supply(ctx, request.Caller(ctx), in.Computer, in.Body)
		}
		return nil, err
	})
	schema := t.Schema(reflect.TypeFor[api.SlapMark](), "SlapMark")
	route.Add(t, huma.Operation{
		OperationID: "watch-slap", Extensions: see, Method: http.MethodGet, Path: "/v1/slap/watch",
		Summary: "That something of the SlapOS master has changed, when it does", Tags: []string{"slapos"},
		Errors:      []int{404},
		Description: "Server-Sent Events: one at once, and one whenever anything is otherwise, at most two a second. What it is, the other paths tell.",
		Responses: map[string]*huma.Response{"200": {
			Description: "a stream without end",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		m, err := s.current()
		if err != nil {
			return nil, err
		}
		mark, err := m.Changed(ctx, request.Caller(ctx), "")
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) { s.slapStream(c, m, mark) }}, nil
	})
}
