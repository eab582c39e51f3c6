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

// Trip is what a browser has to bring back from the provider's page. It is for that browser alone:
// it goes into a cookie.
type Trip struct {
	// that the provider gives back, so that nobody can put his own sign-in into another's browser
	State    string `json:"state"`
	Verifier string `json:"verifier"` // of PKCE and of the nonce
	Redirect string `json:"redirect"` // where the provider sends the browser
}

// Begin returns where to send a browser. The provider sends it back to redirect, which must be
// registered with it.
func (p *Provider) Begin(ctx context.Context, redirect string) (address string, trip Trip, err error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", Trip{}, err
	}
	trip = Trip{State: rand.Text(), Verifier: oauth2.GenerateVerifier(), Redirect: redirect}
	return p.page(found, redirect).AuthCodeURL(
		trip.State, oidc.Nonce(challenge(trip.Verifier)), oauth2.S256ChallengeOption(trip.Verifier),
	), trip, nil
}

// page is the page's client.
func (p *Provider) page(found *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: found.Endpoint(), RedirectURL: redirect, Scopes: p.Scopes}
}

// Finish returns who has come back from the provider's page, with what it added to the address.
// Kinds of error: as Verify.
func (p *Provider) Finish(ctx context.Context, trip Trip, query url.Values) (Person, error) {
	if trip.State == "" || subtle.ConstantTimeCompare([]byte(trip.State), []byte(query.Get("state"))) != 1 {
		return Person{}, p.refused("begin again at /login", "this is not the sign-in that this browser began")
	}
	if code := query.Get("error"); code != "" {
		if text := query.Get("error_description"); text != "" {
			code += ": " + text
		}
		return Person{}, p.refused("begin again at /login", "the provider says %.200q", code)
	}
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	token, err := p.page(found, trip.Redirect).Exchange(
		oidc.ClientContext(ctx, p.http), query.Get("code"), oauth2.VerifierOption(trip.Verifier),
	)
	if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) && said.Response.StatusCode < 500 {
		return Person{}, p.refused("begin again at /login", "the provider says %.200q", said.ErrorCode+": "+said.ErrorDescription)
	}
	if err != nil {
		return Person{}, p.unreachable(ctx, err)
	}
	raw, _ := token.Extra("id_token").(string)
	return p.Verify(ctx, Proof{IDToken: raw, AccessToken: token.AccessToken, Verifier: trip.Verifier, Browser: true})
}
