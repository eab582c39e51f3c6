package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/route"
)

// Webhooks are the receivers of events.
type Webhooks interface {
	List(ctx context.Context) ([]api.Webhook, error)
	Test(ctx context.Context, name string) (api.WebhookTest, error)
	Skip(ctx context.Context, name string) error
}

// webhooks serves the receivers of events.
type webhooks struct {
	now func() Webhooks // nil: there are no such paths
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
