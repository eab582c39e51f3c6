package legacy

import (
	"net/http"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/certificate"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
)

// The paths at which certificates and tokens for them are to be had, of the full master's web side.
const (
	personPath   = "/Person_getCertificate"
	registerPath = "/Person_requestComputer"
)

// enrols serves Person_getCertificate and Person_requestComputer. A caller shows a token, in the
// header X-Access-Token by POST, or as the password of a name by GET. It gets a user's certificate,
// or that of a new computer, with its key. A token is one that [Master.NewToken] makes, or one that
// the option Token knows.
func (l *endpoints) enrols() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, POST")
			wire.AnswerPage(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		}
		pair, err := l.enrol(w, r)
		if err == nil {
			err = wire.AnswerJSON(w, http.StatusOK, pair)
		}
		if err != nil {
			wire.FailPage(l.master.Log(), w, r, err)
		}
	})
}

// enrol checks the token of a request, and signs the certificate that it is for.
func (l *endpoints) enrol(w http.ResponseWriter, r *http.Request) (*proto.Certificate, error) {
	if !l.master.Certificates.Certifies() {
		return nil, access.Refuse(compute.ErrNotFound, "%s", access.NoSuchEndpoint)
	}
	if err := wire.OwnSite(r); err != nil {
		return nil, err
	}
	c := &call{r: r, w: w}
	if err := c.read(); err != nil {
		return nil, err
	}
	register := r.URL.Path == registerPath
	if register {
		if err := c.need("title"); err != nil {
			return nil, err
		}
	}
	access.NoteAbout(r.Context(), c.get("title"))
	token := r.Header.Get("X-Access-Token")
	if r.Method == http.MethodGet {
		_, token, _ = r.BasicAuth()
	}
	switch {
	case token == "":
		return nil, access.Denied("A token is wanted: by POST in X-Access-Token, or by GET as the password of a name.")
	case certificate.IsToken(token) && register:
		_, pair, err := l.master.Certificates.RegisterBy(r.Context(), token, c.get("title"))
		return pair, err
	case certificate.IsToken(token):
		return l.master.Certificates.PersonCertificate(r.Context(), token)
	case l.opt.Token == nil:
		return nil, access.Denied("The token is not one of this master's.")
	}
	who, err := wire.Noting(func(r *http.Request) (access.Who, error) { return l.opt.Token(r, token) })(r)
	if err != nil {
		return nil, err
	}
	if register {
		_, pair, err := l.master.Certificates.Register(r.Context(), who, c.get("title"))
		return pair, err
	}
	return l.master.Certificates.OwnCertificate(r.Context(), who)
}
