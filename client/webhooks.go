package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/api"
)

// Webhooks reads and controls a controller's receivers of events.
type Webhooks struct{ wire *wire }

// Webhooks returns the client of webhooks.
func (c *Client) Webhooks() Webhooks { return Webhooks{c.wire} }

// List returns the receivers of events, and how far each has come.
func (c Webhooks) List(ctx context.Context) ([]api.Webhook, error) {
	var out struct {
		Webhooks []api.Webhook `json:"webhooks"`
	}
	err := c.wire.do(ctx, http.MethodGet, "/v1/webhooks", nil, nil, &out)
	return out.Webhooks, err
}

// Test has the controller make one delivery without an event.
func (c Webhooks) Test(ctx context.Context, name string) (out api.WebhookTest, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/webhooks/"+url.PathEscape(name)+"/test", nil, nil, &out)
	return out, err
}

// Skip drops the events that a receiver was not told of yet.
func (c Webhooks) Skip(ctx context.Context, name string) error {
	return c.wire.do(ctx, http.MethodPost, "/v1/webhooks/"+url.PathEscape(name)+"/skip", nil, nil, nil)
}
