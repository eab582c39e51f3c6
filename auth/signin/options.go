package signin

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Options name the provider and say which of its people are let in. The tags are the keys of [auth]
// in hostler.conf.
type Options struct {
	// https://..., exactly as in the provider's discovery document and tokens
	Issuer string `conf:"issuer"`
	// the client of the browser page, and of hostler login unless LoginClientID is set
	ClientID string `conf:"client-id"`
	// the client of hostler login, where ClientID has a secret; "": ClientID
	LoginClientID string `conf:"login-client-id"`
	// the scopes to ask for; none: openid, email, profile
	Scopes      []string `conf:"scopes"`
	NameClaim   string   `conf:"name-claim"`   // the claim with the name; "": email
	GroupsClaim string   `conf:"groups-claim"` // the claim with the groups; "": groups
	// let in people with a verified address in one of these domains; "*": everybody
	Domains []string `conf:"allowed-domains"`
	Groups  []string `conf:"allowed-groups"` // let in people in one of these groups, too

	Secret   string   // the secret of ClientID; "": a public client
	Reserved []string // names that cannot be had by signing in
	// Transport reaches the provider; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// fresh is the greatest age of an ID token when it is presented. A token that was presented must be
// remembered for as long.
const fresh = 10 * time.Minute

// skew is how far the provider's clock may be ahead.
const skew = time.Minute

// everybody in Domains lets in everybody whom the provider knows.
const everybody = "*"

// check validates the options and fills in defaults.
func (o *Options) check() error {
	wrong := func(hint, format string, args ...any) error {
		return &compute.Error{Op: "signin", Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return wrong("write the issuer as the provider has it: https://HOST/...", "issuer %s: not an address of a provider", o.Issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return wrong("use https", "issuer %s: without TLS anybody on the way could say who people are", o.Issuer)
	case o.ClientID == "":
		return wrong("register a client with the provider and write its id", "issuer %s: needs client-id", o.Issuer)
	case len(o.Domains) == 0 && len(o.Groups) == 0:
		return wrong("allowed-domains = example.org, or allowed-groups = GROUP; allowed-domains = * for everybody whom the provider knows",
			"issuer %s: it is not said whom of its people are let in", o.Issuer)
	}
	o.LoginClientID, o.NameClaim, o.GroupsClaim = cmp.Or(o.LoginClientID, o.ClientID), cmp.Or(o.NameClaim, emailClaim), cmp.Or(o.GroupsClaim, "groups")
	if len(o.Scopes) == 0 {
		o.Scopes = []string{"openid", "email", "profile"}
	}
	if !slices.Contains(o.Scopes, "openid") {
		return wrong("", "scopes: without openid the provider does not say who somebody is")
	}
	domains := make([]string, 0, len(o.Domains))
	for _, d := range o.Domains {
		if d != everybody && (strings.ContainsAny(d, "@* ") || d == "") {
			return wrong("write it as example.org", "allowed-domains: %q is no domain", d)
		}
		domains = append(domains, strings.ToLower(d))
	}
	o.Domains = domains
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bounded limits the size of a provider's answers to maxAnswer.
type bounded struct{ http.RoundTripper }

const maxAnswer = 1 << 20 // bytes

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

var errRedirect = errors.New("the provider sends us elsewhere")

// client returns an HTTP client that reaches the provider and follows no redirect.
func (o *Options) client() *http.Client {
	return &http.Client{
		Transport: bounded{o.Transport}, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}
