// Package wire has what a SlapOS master's protocols share: the options by which a handler is joined
// to its surroundings, and the ways to answer and to refuse over HTTP.
package wire

import (
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/slapos/master"
)

// HateoasPath is where the hypermedia API is.
const HateoasPath = "/hateoas/"

// Options join a protocol of a master to its surroundings.
type Options struct {
	// Who says who makes a request; an error is a Refusal, or compute.ErrDenied. nil: nobody is
	// asked, and anybody may do everything.
	Who func(r *http.Request) (master.Who, error)
	// Base is the URL under which clients see the endpoints, which ends in /; nil: as the request
	// has it.
	Base func(r *http.Request) string
	// Token says whose a token is that is shown for a certificate and is none of the master's own;
	// an error is as Who's. nil: such a one is nobody's.
	Token func(r *http.Request, token string) (master.Who, error)
	// Ending is closed when the server is to end: who waits for a change is answered then, that
	// there was none. nil: never.
	Ending <-chan struct{}
}

// Whole is the options with what they leave out.
func (opt Options) Whole() Options {
	if opt.Who == nil {
		opt.Who = func(*http.Request) (master.Who, error) { return master.Anybody, nil }
	}
	opt.Who = Noting(opt.Who)
	if opt.Base == nil {
		opt.Base = Base
	}
	return opt
}

// Noting is Who, which notes its answer.
func Noting(who func(*http.Request) (master.Who, error)) func(*http.Request) (master.Who, error) {
	return func(r *http.Request) (master.Who, error) {
		is, err := who(r)
		master.NoteWho(r.Context(), is)
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
