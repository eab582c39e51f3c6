package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/api"
)

// CreateToken makes a token. The answer is the only time that it can be seen; where it is lost the
// token is there all the same, and can be revoked.
func (c *Client) CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	var out api.NewToken
	err := c.do(ctx, http.MethodPost, "/v1/tokens", nil, req, &out)
	return out, err
}

// LeaseToken makes a token of a lease of ours, for that lease alone; with extend it may keep the
// lease longer, too.
func (c *Client) LeaseToken(ctx context.Context, lease string, extend bool) (api.NewToken, error) {
	var out api.NewToken
	err := c.do(ctx, http.MethodPost, "/v1/leases/"+url.PathEscape(lease)+"/token", nil, api.LeaseTokenRequest{Extend: extend}, &out)
	return out, err
}

// Tokens tells which tokens are good, those that we may know of.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	var out struct {
		Tokens []api.Token `json:"tokens"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/tokens", nil, nil, &out)
	return out.Tokens, err
}

// RevokeToken ends a token, by its ID, and those that were made with it.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil, nil)
}
