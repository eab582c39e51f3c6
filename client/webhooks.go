package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/api"
)

// Webhooks returns the receivers of the controller's events, and how far each has come.
func (c *Client) Webhooks(ctx context.Context) ([]api.Webhook, error) {
	var out struct {
		Webhooks []api.Webhook `json:"webhooks"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/webhooks", nil, nil, &out)
	return out.Webhooks, err
}

// TestWebhook has the controller make a delivery of nothing, once.
func (c *Client) TestWebhook(ctx context.Context, name string) (out api.WebhookTest, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/webhooks/"+url.PathEscape(name)+"/test", nil, nil, &out)
	return out, err
}

// SkipWebhook gives up what a receiver was not told yet.
func (c *Client) SkipWebhook(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, "/v1/webhooks/"+url.PathEscape(name)+"/skip", nil, nil, nil)
}
