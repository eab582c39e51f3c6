package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/hostler-project/hostler/compute"
)

// Provider is one provider of sign-ins. It may be used from many goroutines.
type Provider struct {
	Options
	http *http.Client

	mu    sync.Mutex
	found *oidc.Provider // what it says of itself; nil: not asked yet
}

// New makes a provider. It asks it nothing yet: a controller starts also while its provider is
// down.
func New(opt Options) (*Provider, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	return &Provider{Options: opt, http: opt.client()}, nil
}

// discover asks the provider where it has what, once.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.http), p.Issuer)
	if err != nil {
		return nil, p.unreachable(ctx, err)
	}
	p.mu.Lock()
	p.found = found
	p.mu.Unlock()
	return found, nil
}

// unreachable is for a provider that cannot be asked.
func (p *Provider) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err // the address is said once
	} else {
		err = &answered{err}
	}
	return &compute.Error{
		Op: "signin", Kind: compute.ErrUnavailable, Err: fmt.Errorf("the provider %s: %w", p.Issuer, short(err)),
		Hint: "try again; is the issuer written as the provider has it?",
	}
}

// answered is an error that has in it what the provider answered, which strangers are not told.
type answered struct{ cause error }

func (e *answered) Error() string { return "what it answers is not what a provider says" }
func (e *answered) Unwrap() error { return e.cause }

// Cause is what a provider answered that led to an error, short, for the log; "": it is in the
// error itself.
func Cause(err error) string {
	if e := (*answered)(nil); errors.As(err, &e) {
		return short(e.cause).Error()
	}
	return ""
}

// short is an error without the pages that providers answer with.
func short(err error) error {
	const enough = 300
	if text := err.Error(); len(text) > enough {
		return errors.New(text[:enough] + "...")
	}
	return err
}

// refused is for what a provider says that is not believed.
func (p *Provider) refused(hint, format string, args ...any) error {
	return &compute.Error{Op: "signin", Kind: compute.ErrDenied, Err: short(fmt.Errorf(format, args...)), Hint: hint}
}

const again = "sign in again: hostler login URL"

// Proof is what somebody presents to be known.
type Proof struct {
	IDToken string
	// AccessToken is that which came with it, for what the ID token leaves out; "": there is none.
	AccessToken string
	// Verifier is of what the nonce in the ID token must be the Challenge. A token without a nonce,
	// as those of the device flow may be, is believed without.
	Verifier string
	// Browser says that it came through Finish, so the client is ClientID and there must be a
	// nonce. Else it may be LoginClientID's.
	Browser bool
}

// challenge is the nonce to sign in with for a secret word: who sees the ID token does not know the
// word, and cannot use it.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verify returns of whom a proof is. Kinds of error: compute.ErrDenied, it is nobody's whom we let
// in; compute.ErrUnavailable, the provider cannot be asked. It does not know which tokens were
// presented before: that is the caller's to remember by Person.Proof, for Fresh.
func (p *Provider) Verify(ctx context.Context, proof Proof) (Person, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	audience := []string{p.LoginClientID}
	if proof.Browser {
		audience = []string{p.ClientID}
	}
	token, err := found.Verifier(&oidc.Config{SkipClientIDCheck: true}).Verify(oidc.ClientContext(ctx, p.http), proof.IDToken)
	switch late := (*oidc.TokenExpiredError)(nil); {
	case errors.As(err, &late):
		return Person{}, p.refused(again, "the sign-in ran out at %s", late.Expiry.Format(time.RFC3339))
	case unasked(err):
		return Person{}, p.unreachable(ctx, err)
	case err != nil:
		return Person{}, p.refused(again, "the ID token: %w", err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Person{}, p.refused(again, "the ID token: %w", err)
	}
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(audience, a) }) {
		return Person{}, p.refused(again, "the ID token is for %q and not for %q", token.Audience, audience)
	}
	if party, _ := claims["azp"].(string); !slices.Contains(audience, party) && (party != "" || len(token.Audience) > 1) {
		return Person{}, p.refused(again, "the ID token was given to %q and not to %q", party, audience)
	}
	if age := time.Since(token.IssuedAt); age > fresh || age < -skew {
		return Person{}, p.refused(
			again+"; are the clocks right?", "the ID token is of %s, and is taken for %s",
			token.IssuedAt.Format(time.RFC3339), fresh,
		)
	}
	if (proof.Browser || token.Nonce != "") && (proof.Verifier == "" || token.Nonce != challenge(proof.Verifier)) {
		return Person{}, p.refused(again, "the ID token is another sign-in's")
	}
	if token.Subject == "" {
		return Person{}, p.refused("", "the ID token names no subject")
	}
	if err := p.complete(ctx, found, token, proof.AccessToken, claims); err != nil {
		return Person{}, err
	}
	out, err := p.person(claims)
	sum := sha256.Sum256([]byte(proof.IDToken))
	out.Subject, out.Proof = token.Subject, hex.EncodeToString(sum[:])
	return out, err
}

// unasked reports whether an error is about reaching the provider, and not about what it says. The
// library wraps no reason why it has no keys, only its text.
func unasked(err error) bool {
	return err != nil &&
		(errors.As(err, new(*url.Error)) || strings.Contains(err.Error(), "fetching keys") || strings.HasPrefix(err.Error(), "50"))
}

// complete asks for claims that the ID token leaves out and that matter, where the access token of
// the same sign-in is there to ask with.
func (p *Provider) complete(ctx context.Context, found *oidc.Provider, token *oidc.IDToken, access string, claims map[string]any) error {
	want := []string{p.NameClaim}
	if len(p.Options.Groups) > 0 {
		want = append(want, p.GroupsClaim)
	}
	if len(p.Domains) > 0 && !slices.Contains(p.Domains, everybody) {
		want = append(want, emailClaim)
	}
	if access == "" || found.UserInfoEndpoint() == "" || !slices.ContainsFunc(want, func(name string) bool { return claims[name] == nil }) {
		return nil
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(access); err != nil {
			return p.refused(again, "the access token is not of this sign-in")
		}
	}
	info, err := found.UserInfo(oidc.ClientContext(ctx, p.http), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: access}))
	if unasked(err) {
		return p.unreachable(ctx, err)
	}
	if err != nil {
		return p.refused(again, "what the provider knows of the user: %w", err)
	}
	if info.Subject != token.Subject {
		return p.refused(again, "the access token is another user's")
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return p.refused(again, "what the provider knows of the user: %w", err)
	}
	for name, value := range more {
		if claims[name] == nil {
			claims[name] = value
		}
	}
	return nil
}
