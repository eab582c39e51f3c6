package server

import (
	"mime"
	"net/http"
)

// asJSON treats a body as JSON if the request has no content type, or that of a form, which curl
// sets by default. All bodies of this API are JSON, and anything else fails to decode. Requests of
// pages of other sites have been refused before.
func asJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
				kind == "application/x-www-form-urlencoded" {
				r.Header = r.Header.Clone()
				r.Header.Set("Content-Type", "application/json")
			}
		}
		next.ServeHTTP(w, r)
	})
}
