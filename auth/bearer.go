package auth

import (
	"net/http"
	"strings"
)

// Bearer returns the token in a request's Authorization header. The case of the scheme does not
// count. If ok is false, the header has no token.
func Bearer(r *http.Request) (token string, ok bool) {
	const scheme = "Bearer "
	given := r.Header.Get("Authorization")
	if len(given) <= len(scheme) || !strings.EqualFold(given[:len(scheme)], scheme) {
		return "", false
	}
	return given[len(scheme):], true
}

// HasCredentials reports whether a request presents something by which its caller could be known: a
// token, a password, a cookie or a certificate. A caller that presents it and is not known has
// failed to authenticate.
func HasCredentials(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("X-Access-Token") != "" ||
		r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}
