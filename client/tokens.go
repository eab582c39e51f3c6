package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/api"
)

// Tokens makes, lists and revokes a controller's tokens.
type Tokens struct{ wire *wire }

// Tokens returns the client of tokens.
func (c *Client) Tokens() Tokens { return Tokens{c.wire} }

// Create makes a token. Its text is only in this answer. If the answer is lost, the token exists
// all the same and can be revoked.
func (c Tokens) Create(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	var out api.NewToken
	err := c.wire.do(ctx, http.MethodPost, "/v1/tokens", nil, req, &out)
	return out, err
}

// LeaseToken makes a token that is only for one lease of the caller. extend: it may extend the
// lease.
func (c *Client) LeaseToken(ctx context.Context, lease string, extend bool) (api.NewToken, error) {
	var out api.NewToken
	err := c.wire.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(lease)+"/token", nil, api.LeaseTokenRequest{Extend: extend}, &out)
	return out, err
}

// List returns the valid tokens that the caller may see.
func (c Tokens) List(ctx context.Context) ([]api.Token, error) {
	var out struct {
		Tokens []api.Token `json:"tokens"`
	}
	err := c.wire.do(ctx, http.MethodGet, "/v1/tokens", nil, nil, &out)
	return out.Tokens, err
}

// Revoke ends a token by its ID, and the tokens made with it.
func (c Tokens) Revoke(ctx context.Context, id string) error {
	return c.wire.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil, nil)
}
