// Package web serves over HTTP all that a SlapOS master speaks: each protocol is a package beside
// it.
package web

import (
	"cmp"
	"net/http"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/hypermedia"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/rpc"
	"github.com/hostler-project/hostler/slapos/master/wire"
)

// Options join a master to its surroundings.
type Options = wire.Options

// New serves all protocols of a master: the legacy endpoints, the JSON API, the hypermedia API, and
// those that only our own peers know.
func New(m *master.Master, opt Options) http.Handler {
	endpoints, methods, documents := legacy.New(m, opt), rpc.New(m, opt), hypermedia.New(m, opt)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case rpc.Serves(r.URL.Path):
			methods.ServeHTTP(w, r)
		case hypermedia.Serves(r.URL.Path):
			documents.ServeHTTP(w, r)
		default:
			endpoints.ServeHTTP(w, r)
		}
	})
}

// Route is the name of a path's handler, of all of a master's; "": none.
func Route(path string) string {
	return cmp.Or(legacy.Route(path), rpc.Route(path), hypermedia.Route(path))
}

// Writes says whether a request may change something. A GET that returns a secret, such as a token
// or an instance's key, counts too.
func Writes(r *http.Request) bool {
	switch Route(r.URL.Path) {
	case hypermedia.TokenPath, "getComputerPartitionCertificate":
		return true
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

// Refuse answers a request in the form of its path's protocol.
func Refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if rpc.Serves(r.URL.Path) && r.URL.Path != rpc.WatchPath {
		wire.AnswerFailure(w, status, text, "")
		return
	}
	wire.AnswerPage(w, status, text)
}

// Base is the URL under which a request came, which ends in /: a proxy before us may say it by
// X-Forwarded-Proto and X-Forwarded-Prefix.
func Base(r *http.Request) string { return wire.Base(r) }
