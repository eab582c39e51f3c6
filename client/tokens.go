package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/api"
)

// Tokens makes, lists and revokes a controller's tokens.
type Tokens struct{ wire *wire }

// Tokens returns them.
func (c *Client) Tokens() Tokens { return Tokens{c.wire} }

// Create makes a token. The answer is the only time that it can be seen; where it is lost the
// token is there all the same, and can be revoked.
func (c Tokens) Create(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	var out api.NewToken
	err := c.wire.do(ctx, http.MethodPost, "/v1/tokens", nil, req, &out)
	return out, err
}

// LeaseToken makes a token of a lease of ours, for that lease alone; with extend it may keep the
// lease longer, too.
func (c *Client) LeaseToken(ctx context.Context, lease string, extend bool) (api.NewToken, error) {
	var out api.NewToken
	err := c.wire.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(lease)+"/token", nil, api.LeaseTokenRequest{Extend: extend}, &out)
	return out, err
}

// List tells which tokens are good, those that we may know of.
func (c Tokens) List(ctx context.Context) ([]api.Token, error) {
	var out struct {
		Tokens []api.Token `json:"tokens"`
	}
	err := c.wire.do(ctx, http.MethodGet, "/v1/tokens", nil, nil, &out)
	return out.Tokens, err
}

// Revoke ends a token, by its ID, and those that were made with it.
func (c Tokens) Revoke(ctx context.Context, id string) error {
	return c.wire.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil, nil)
}
