// Package wire has what a SlapOS master's protocols share: the options by which a handler is joined
// to its surroundings, and the ways to answer and to refuse over HTTP.
package wire

import (
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/slapos/master/access"
)

// HateoasPath is where the hypermedia API is.
const HateoasPath = "/hateoas/"

// Options join a protocol of a master to its surroundings.
type Options struct {
	// Who names the caller of a request; its error is a Refusal, or compute.ErrDenied. nil: no
	// authentication, and every caller may do everything.
	Who func(r *http.Request) (access.Who, error)
	// Base is the URL under which clients see the endpoints, which ends in /; nil: as the request
	// has it.
	Base func(r *http.Request) string
	// Token names the owner of a token that is shown for a certificate and is none of the master's
	// own. Its errors are like Who's. nil: there are no such tokens.
	Token func(r *http.Request, token string) (access.Who, error)
	// Ending is closed when the server is to end: callers that wait for a change are then told that
	// there was none. nil: never.
	Ending <-chan struct{}
}

// Whole is the options with defaults for unset ones.
func (opt Options) Whole() Options {
	if opt.Who == nil {
		opt.Who = func(*http.Request) (access.Who, error) { return access.Anybody, nil }
	}
	opt.Who = Noting(opt.Who)
	if opt.Base == nil {
		opt.Base = Base
	}
	return opt
}

// Noting wraps a Who function, and notes its answer.
func Noting(who func(*http.Request) (access.Who, error)) func(*http.Request) (access.Who, error) {
	return func(r *http.Request) (access.Who, error) {
		is, err := who(r)
		access.NoteWho(r.Context(), is)
		return is, err
	}
}

// Base is the URL under which a request came, which ends in /: a proxy before us may say it by
// X-Forwarded-Proto and X-Forwarded-Prefix.
func Base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if forwarded := r.Header.Get("X-Forwarded-Proto"); forwarded == "http" || forwarded == "https" {
		scheme = forwarded
	}
	u := url.URL{Scheme: scheme, Host: r.Host, Path: "/"}
	if prefix := r.Header.Get("X-Forwarded-Prefix"); prefix != "" {
		u = *u.JoinPath(prefix, "/")
	}
	return u.String()
}
