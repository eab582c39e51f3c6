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
