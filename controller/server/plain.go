package server

import (
	"mime"
	"net/http"
	"slices"
)

// asJSON takes a body for JSON where its sender does not say what it is, or where curl says that it
// is a form, as it does of every body by itself: all bodies here are JSON, and what is none is
// refused as such. Pages of other sites are kept out before.
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

// methods are those by which a path may be asked for, sorted; none: there is no such path.
func methods(mux *http.ServeMux, r *http.Request) (out []string) {
	for _, m := range []string{http.MethodDelete, http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); pattern != nowhere && pattern != "" {
			out = append(out, m)
		}
	}
	if slices.Contains(out, http.MethodGet) {
		out = append(out, http.MethodHead)
		slices.Sort(out)
	}
	return out
}
