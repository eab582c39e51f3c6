package servercmd

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client/device"
	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// signIn signs the user in at the provider.
func signIn(a *cli.App, ctx context.Context, t *logins.Target) (api.Session, error) {
	c, err := t.Dial()
	if err != nil {
		return api.Session{}, err
	}
	defer c.Close()
	how, err := c.SignIn().How(ctx)
	if err != nil {
		return api.Session{}, err
	}
	if how.Issuer == "" {
		return api.Session{}, fault.Invalid("ask its administrators for a token (hostler token create), and: hostler login --with-token "+t.Where,
			"%s knows no provider that one could sign in with", t.Where)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = logins.TLS(t.CA, "", ""); err != nil {
		return api.Session{}, err
	}
	// the provider may have the same private authority, or one of the machine's
	if t.CA != "" {
		if err := logins.TrustAlso(transport.TLSClientConfig, t.CA); err != nil {
			return api.Session{}, err
		}
	}
	defer transport.CloseIdleConnections()
	flow, err := device.Begin(ctx, device.Options{Issuer: how.Issuer, ClientID: how.ClientID, Scopes: how.Scopes, Transport: transport})
	if err != nil {
		return api.Session{}, err
	}
	if a.JSON {
		err = a.PrintLine(CodeView{flow.Code, flow.Address, flow.Direct, flow.Expires})
	} else {
		err = term.Printf(
			a.Err, "To sign in to %s, open\n\n    %s\n\nin a browser, on any machine, and type the code\n\n    %s\n\n",
			t.Where, term.Line(flow.Address), term.Line(flow.Code),
		)
		if err == nil && flow.Direct != "" {
			err = term.Printf(a.Err, "or open %s\n\n", term.Line(flow.Direct))
		}
	}
	if err != nil {
		return api.Session{}, err
	}
	got, err := flow.Wait(ctx)
	if err != nil {
		return api.Session{}, err
	}
	return c.SignIn().Exchange(ctx, api.Proof{IDToken: got.ID, AccessToken: got.Access, Verifier: got.Verifier})
}

// signOut ends the session at the controller.
func signOut(a *cli.App, ctx context.Context, t *logins.Target) (revoked bool, err error) {
	if t.Expires != nil && time.Now().After(*t.Expires) {
		return true, nil
	}
	c, err := t.Dial()
	if err != nil {
		return false, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	revoked, err = c.SignIn().End(ctx)
	if errors.Is(err, compute.ErrDenied) {
		return true, nil // it is no longer valid there
	}
	return revoked, err
}
