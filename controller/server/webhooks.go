package server

import (
	"context"

	"github.com/hostler-project/hostler/api"
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
