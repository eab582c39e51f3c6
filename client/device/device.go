package device

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/hostler-project/hostler/compute"
)

// Options name the provider and the client. All but Transport are required.
type Options struct {
	Issuer    string
	ClientID  string
	Scopes    []string
	Transport http.RoundTripper // nil: http.DefaultTransport
}

// Tokens are what the provider says about the user who signed in.
type Tokens struct {
	ID, Access string
	Verifier   string // the secret of the ID token's nonce, if the provider uses it
}

// Flow is a sign-in in progress.
type Flow struct {
	Code    string    // what the user types
	Address string    // the page to type it into
	Direct  string    // a page that has the code already; "": there is none
	Expires time.Time // when the code expires

	opt      Options
	verifier string
	client   *oauth2.Config
	answer   *oauth2.DeviceAuthResponse
	http     *http.Client
}

const (
	usualLife = 10 * time.Minute // of a code whose provider does not say
	patience  = 15 * time.Second // for one answer
	pause     = 5 * time.Second  // after a lost answer
)

// Begin asks the provider for a code. The error is compute.ErrUnavailable if it cannot be asked,
// and compute.ErrDenied if it does not allow this for the client.
func Begin(ctx context.Context, opt Options) (*Flow, error) {
	f := &Flow{opt: opt, verifier: rand.Text() + rand.Text(), http: &http.Client{Transport: opt.Transport, Timeout: patience}}
	ctx = oidc.ClientContext(ctx, f.http)
	found, err := oidc.NewProvider(ctx, opt.Issuer)
	if err != nil {
		return nil, f.unreachable(ctx, err)
	}
	f.client = &oauth2.Config{ClientID: opt.ClientID, Endpoint: found.Endpoint(), Scopes: opt.Scopes}
	f.client.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	if f.client.Endpoint.DeviceAuthURL == "" {
		return nil, &compute.Error{
			Op: "login", Kind: compute.ErrDenied, Err: fmt.Errorf("the provider %s has no sign-in by code", opt.Issuer),
			Hint: "take a token, and: hostler login --with-token URL",
		}
	}
	// The provider may ignore the nonce. If it does not, nobody else can use the ID token.
	sum := sha256.Sum256([]byte(f.verifier))
	f.answer, err = f.client.DeviceAuth(ctx, oidc.Nonce(base64.RawURLEncoding.EncodeToString(sum[:])))
	if err != nil {
		return nil, f.failed(ctx, err)
	}
	a := f.answer
	if a.Expiry.IsZero() {
		a.Expiry = time.Now().Add(usualLife)
	}
	if a.UserCode == "" || a.DeviceCode == "" || !page(a.VerificationURI) ||
		a.VerificationURIComplete != "" && !page(a.VerificationURIComplete) {
		return nil, &compute.Error{
			Op: "login", Kind: compute.ErrUnavailable,
			Err: fmt.Errorf("the provider %s answers with no code or no address", opt.Issuer),
		}
	}
	f.Code, f.Address, f.Direct, f.Expires = a.UserCode, a.VerificationURI, a.VerificationURIComplete, a.Expiry
	return f, nil
}

// page reports whether a browser may be sent to an address.
func page(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// Wait waits until the user has typed the code and agreed. It tolerates a provider that is away for
// a while. Errors are compute.ErrDenied, the user refused; compute.ErrTimeout, the code expired;
// and compute.ErrUnavailable, the provider could not be asked until the code expired.
func (f *Flow) Wait(ctx context.Context) (Tokens, error) {
	var gone error
	for {
		token, err := f.client.DeviceAccessToken(oidc.ClientContext(ctx, f.http), f.answer)
		switch {
		case err == nil:
			id, _ := token.Extra("id_token").(string)
			if id == "" {
				return Tokens{}, &compute.Error{
					Op: "login", Kind: compute.ErrDenied,
					Err:  errors.New("the provider does not say who you are: it sent no ID token"),
					Hint: "the controller's [auth] scopes needs openid",
				}
			}
			return Tokens{ID: id, Access: token.AccessToken, Verifier: f.verifier}, nil
		case ctx.Err() != nil:
			return Tokens{}, context.Cause(ctx)
		case time.Now().After(f.Expires) && gone != nil:
			return Tokens{}, f.unreachable(ctx, gone)
		case time.Now().After(f.Expires):
			return Tokens{}, expired()
		}
		if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) && said.Response.StatusCode < 500 &&
			said.Response.StatusCode != http.StatusTooManyRequests {
			return Tokens{}, f.failed(ctx, err)
		}
		gone = err // it is away, or a request was lost: ask again
		select {
		case <-ctx.Done():
			return Tokens{}, context.Cause(ctx)
		case <-time.After(min(pause, max(0, time.Until(f.Expires)))):
		}
	}
}

func expired() error {
	return &compute.Error{
		Op: "login", Kind: compute.ErrTimeout, Err: errors.New("the code ran out before anybody typed it"),
		Hint: "hostler login gives a new one",
	}
}

// failed returns the error of a provider's answer.
func (f *Flow) failed(ctx context.Context, err error) error {
	said := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &said) {
		return f.unreachable(ctx, err)
	}
	switch said.ErrorCode {
	case "access_denied":
		return &compute.Error{Op: "login", Kind: compute.ErrDenied, Err: errors.New("the sign-in was refused at the provider's page")}
	case "expired_token":
		return expired()
	case "":
		return f.unreachable(ctx, errors.New(said.Response.Status))
	}
	text := said.ErrorCode
	if said.ErrorDescription != "" {
		text += ": " + said.ErrorDescription
	}
	return &compute.Error{
		Op: "login", Kind: compute.ErrDenied, Err: fmt.Errorf("the provider %s says %.200q", f.opt.Issuer, text),
		Hint: "is sign-in by code allowed there for the client " + f.opt.ClientID + "?",
	}
}

// unreachable is the error for a provider that does not answer.
func (f *Flow) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err
	}
	return &compute.Error{Op: "login", Kind: compute.ErrUnavailable, Err: fmt.Errorf("the provider %s: %w", f.opt.Issuer, err)}
}
