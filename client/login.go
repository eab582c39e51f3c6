package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// SignIn begins and ends sessions of people.
type SignIn struct{ wire *wire }

// SignIn returns the client of sign-ins.
func (c *Client) SignIn() SignIn { return SignIn{c.wire} }

// How returns how people sign in. It needs no token. compute.ErrNotFound: the server is not a
// controller.
func (c SignIn) How(ctx context.Context) (api.SignIn, error) {
	r, err := c.wire.request(ctx, http.MethodGet, "/v1/login", nil, nil)
	if err != nil {
		return api.SignIn{}, err
	}
	r.Header.Del("Authorization")
	answer, err := c.wire.http.Do(r)
	if err != nil {
		return api.SignIn{}, c.wire.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return api.SignIn{}, c.wire.unreachable(ctx, err)
	}
	var out struct {
		api.SignIn
		Issuer *string `json:"issuer"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(text, &out) != nil || out.Issuer == nil {
		return api.SignIn{}, &compute.Error{
			Kind: compute.ErrNotFound,
			Err:  fmt.Errorf("%s: what answers there (%s) is no controller, or one of an older hostler", c.wire.base, answer.Status),
		}
	}
	out.SignIn.Issuer = *out.Issuer
	return out.SignIn, nil
}

// Exchange presents a provider's proof of a person and returns that person's token. A lost answer
// is not asked for again, as a proof is valid once.
func (c SignIn) Exchange(ctx context.Context, proof api.Proof) (out api.Session, err error) {
	err = c.wire.do(ctx, http.MethodPost, "/v1/login", nil, proof, &out)
	if err == nil && out.Token == "" {
		err = errors.New("the controller answers with no token")
	}
	return out, err
}

// End ends the session of c's token. revoked: the token was made by signing in, and is revoked.
func (c SignIn) End(ctx context.Context) (revoked bool, err error) {
	var out api.SignedOut
	err = c.wire.do(ctx, http.MethodDelete, "/v1/session", nil, nil, &out)
	return out.Revoked, err
}
