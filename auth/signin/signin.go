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

// Provider is a provider of sign-ins. All methods may be called concurrently.
type Provider struct {
	Options
	http *http.Client

	mu    sync.Mutex
	found *oidc.Provider // its discovery document; nil: not read yet
}

// New makes a Provider without contacting it, so a controller can start while its provider is down.
func New(opt Options) (*Provider, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	return &Provider{Options: opt, http: opt.client()}, nil
}

// discover reads the provider's discovery document once.
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

// unreachable is the error for a provider that cannot be asked.
func (p *Provider) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err // the address is said once
	} else {
		err = &protocolError{err}
	}
	return &compute.Error{
		Op: "signin", Kind: compute.ErrUnavailable, Err: fmt.Errorf("the provider %s: %w", p.Issuer, short(err)),
		Hint: "try again; is the issuer written as the provider has it?",
	}
}

// protocolError is an error that contains the provider's answer, which strangers must not see.
type protocolError struct{ cause error }

func (e *protocolError) Error() string { return "what it answers is not what a provider says" }
func (e *protocolError) Unwrap() error { return e.cause }

// Cause returns the part of an error that is only for the log: the provider's answer, shortened. ""
// means that the error itself says everything.
func Cause(err error) string {
	if e := (*protocolError)(nil); errors.As(err, &e) {
		return short(e.cause).Error()
	}
	return ""
}

// short cuts the text of an error, as providers may answer with whole pages.
func short(err error) error {
	const enough = 300
	if text := err.Error(); len(text) > enough {
		return errors.New(text[:enough] + "...")
	}
	return err
}

// refused is the error for a sign-in that is not accepted.
func (p *Provider) refused(hint, format string, args ...any) error {
	return &compute.Error{Op: "signin", Kind: compute.ErrDenied, Err: short(fmt.Errorf(format, args...)), Hint: hint}
}

const again = "sign in again: hostler login URL"

// Proof is what a person presents to sign in.
type Proof struct {
	IDToken string
	// AccessToken came with the ID token, and gets the claims missing from it; "": there is none.
	AccessToken string
	// Verifier is the secret whose challenge must be the nonce of the ID token. A token without a
	// nonce, as from the device flow, needs none.
	Verifier string
	// Browser means that the sign-in came through Finish: the client is ClientID and a nonce is
	// required. Otherwise the client is LoginClientID.
	Browser bool
}

// challenge returns the nonce for a secret verifier. A reader of the ID token sees the nonce and
// cannot tell the verifier, so it cannot use the token.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verify returns the person that a proof is of. The error is compute.ErrDenied if the person is not
// let in, and compute.ErrUnavailable if the provider cannot be asked.
//
// It does not detect a token that was presented before. The caller must remember Person.Proof for
// as long as fresh.
func (p *Provider) Verify(ctx context.Context, proof Proof) (User, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return User{}, err
	}
	audience := []string{p.LoginClientID}
	if proof.Browser {
		audience = []string{p.ClientID}
	}
	token, err := found.Verifier(&oidc.Config{SkipClientIDCheck: true}).Verify(oidc.ClientContext(ctx, p.http), proof.IDToken)
	switch late := (*oidc.TokenExpiredError)(nil); {
	case errors.As(err, &late):
		return User{}, p.refused(again, "the sign-in ran out at %s", late.Expiry.Format(time.RFC3339))
	case notReached(err):
		return User{}, p.unreachable(ctx, err)
	case err != nil:
		return User{}, p.refused(again, "the ID token: %w", err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return User{}, p.refused(again, "the ID token: %w", err)
	}
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(audience, a) }) {
		return User{}, p.refused(again, "the ID token is for %q and not for %q", token.Audience, audience)
	}
	if party, _ := claims["azp"].(string); !slices.Contains(audience, party) && (party != "" || len(token.Audience) > 1) {
		return User{}, p.refused(again, "the ID token was given to %q and not to %q", party, audience)
	}
	if age := time.Since(token.IssuedAt); age > fresh || age < -skew {
		return User{}, p.refused(
			again+"; are the clocks right?", "the ID token is of %s, and is taken for %s",
			token.IssuedAt.Format(time.RFC3339), fresh,
		)
	}
	if (proof.Browser || token.Nonce != "") && (proof.Verifier == "" || token.Nonce != challenge(proof.Verifier)) {
		return User{}, p.refused(again, "the ID token is another sign-in's")
	}
	if token.Subject == "" {
		return User{}, p.refused("", "the ID token names no subject")
	}
	if err := p.complete(ctx, found, token, proof.AccessToken, claims); err != nil {
		return User{}, err
	}
	out, err := p.userOf(claims)
	sum := sha256.Sum256([]byte(proof.IDToken))
	out.Subject, out.Proof = token.Subject, hex.EncodeToString(sum[:])
	return out, err
}

// notReached reports whether an error means that the provider could not be reached. The library
// does not wrap the reason for missing keys, so its text decides.
func notReached(err error) bool {
	return err != nil &&
		(errors.As(err, new(*url.Error)) || strings.Contains(err.Error(), "fetching keys") || strings.HasPrefix(err.Error(), "50"))
}

// complete asks the provider for claims that are needed and missing from the ID token. It needs the
// access token of the same sign-in, and does nothing without one.
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
	if notReached(err) {
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
