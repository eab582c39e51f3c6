package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// BrowserState is what a browser must bring back from the provider's page. It is stored in a
// cookie of that browser.
type BrowserState struct {
	// returned by the provider, so that an attacker cannot complete another sign-in in this browser
	State    string `json:"state"`
	Verifier string `json:"verifier"` // the PKCE verifier, which the nonce is made of too
	Redirect string `json:"redirect"` // where the provider sends the browser
}

// Begin returns the address to send a browser to. The provider sends it back to redirect, which
// must be registered there.
func (p *Provider) Begin(ctx context.Context, redirect string) (address string, trip BrowserState, err error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", BrowserState{}, err
	}
	trip = BrowserState{State: rand.Text(), Verifier: oauth2.GenerateVerifier(), Redirect: redirect}
	return p.browserConfig(found, redirect).AuthCodeURL(
		trip.State, oidc.Nonce(challenge(trip.Verifier)), oauth2.S256ChallengeOption(trip.Verifier),
	), trip, nil
}

// browserConfig returns the OAuth configuration of the browser sign-in.
func (p *Provider) browserConfig(found *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: found.Endpoint(), RedirectURL: redirect, Scopes: p.Scopes}
}

// Finish returns the person that has come back from the provider's page. query is what the provider
// added to the address. Errors have the kinds of Verify.
func (p *Provider) Finish(ctx context.Context, trip BrowserState, query url.Values) (User, error) {
	if trip.State == "" || subtle.ConstantTimeCompare([]byte(trip.State), []byte(query.Get("state"))) != 1 {
		return User{}, p.refused("begin again at /login", "this is not the sign-in that this browser began")
	}
	if code := query.Get("error"); code != "" {
		if text := query.Get("error_description"); text != "" {
			code += ": " + text
		}
		return User{}, p.refused("begin again at /login", "the provider says %.200q", code)
	}
	found, err := p.discover(ctx)
	if err != nil {
		return User{}, err
	}
	token, err := p.browserConfig(found, trip.Redirect).Exchange(
		oidc.ClientContext(ctx, p.http), query.Get("code"), oauth2.VerifierOption(trip.Verifier),
	)
	if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) && said.Response.StatusCode < 500 {
		return User{}, p.refused("begin again at /login", "the provider says %.200q", said.ErrorCode+": "+said.ErrorDescription)
	}
	if err != nil {
		return User{}, p.unreachable(ctx, err)
	}
	raw, _ := token.Extra("id_token").(string)
	return p.Verify(ctx, Proof{IDToken: raw, AccessToken: token.AccessToken, Verifier: trip.Verifier, Browser: true})
}
