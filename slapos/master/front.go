package master

import (
	"net/http"
	"strings"
)

// whole is the options with what they leave out.
func (opt LegacyOptions) whole() LegacyOptions {
	if opt.Who == nil {
		opt.Who = func(*http.Request) (Who, error) { return Anybody, nil }
	}
	opt.Who = noting(opt.Who)
	if opt.Base == nil {
		opt.Base = Base
	}
	return opt
}

// Handler serves all that a master speaks: the legacy endpoints, the JSON API, the hypermedia API,
// and what only our own peers know.
func (m *Master) Handler(opt LegacyOptions) http.Handler {
	legacy, rpc, hypermedia, watch, enrol := m.Legacy(opt), m.JSON(opt), m.Hypermedia(opt), m.Watch(opt), m.Enrol(opt)
	reports, revoke := m.Reports(opt), m.Revoke(opt)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/slapos."):
			rpc.ServeHTTP(w, r)
		case path == watchPath:
			watch.ServeHTTP(w, r)
		case path == "/hateoas", strings.HasPrefix(path, hateoas):
			hypermedia.ServeHTTP(w, r)
		case path == reportPath:
			reports.ServeHTTP(w, r)
		case path == revokePath:
			revoke.ServeHTTP(w, r)
		case path == personPath, path == registerPath:
			enrol.ServeHTTP(w, r)
		default:
			legacy.ServeHTTP(w, r)
		}
	})
}
