package master

import (
	"net/http"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// The paths at which certificates and tokens for them are to be had, of the full master's web side.
const (
	personPath   = "/Person_getCertificate"
	registerPath = "/Person_requestComputer"
	tokenPath    = "Base_getComputerToken" // below the hypermedia API's computers
)

// Enrol is the handler of Person_getCertificate and Person_requestComputer: who shows a token, in
// the header X-Access-Token by POST or as the password of a name by GET, gets a certificate of
// himself, or of a new computer, with its key. A token is one that [Master.NewToken] makes, or what
// the option Token knows.
func (m *Master) Enrol(opt LegacyOptions) http.Handler {
	l := &legacy{master: m, opt: opt.whole()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, POST")
			answerError(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		}
		pair, err := l.enrol(w, r)
		if err == nil {
			err = answerJSON(w, http.StatusOK, pair)
		}
		if err != nil {
			fail(m.log, w, r, err)
		}
	})
}

func (l *legacy) enrol(w http.ResponseWriter, r *http.Request) (*slap.Certificate, error) {
	if l.master.opt.Authority == nil {
		return nil, refuse(compute.ErrNotFound, "%s", noSuchEndpoint)
	}
	if err := ownSite(r); err != nil {
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
	about(r.Context(), c.get("title"))
	token := r.Header.Get("X-Access-Token")
	if r.Method == http.MethodGet {
		_, token, _ = r.BasicAuth()
	}
	switch {
	case token == "":
		return nil, denied("A token is wanted: by POST in X-Access-Token, or by GET as the password of a name.")
	case isToken(token) && register:
		_, pair, err := l.master.RegisterBy(r.Context(), token, c.get("title"))
		return pair, err
	case isToken(token):
		return l.master.PersonCertificate(r.Context(), token)
	case l.opt.Token == nil:
		return nil, denied("The token is not one of this master's.")
	}
	who, err := noting(func(r *http.Request) (Who, error) { return l.opt.Token(r, token) })(r)
	if err != nil {
		return nil, err
	}
	if register {
		_, pair, err := l.master.Register(r.Context(), who, c.get("title"))
		return pair, err
	}
	return l.master.OwnCertificate(r.Context(), who)
}

// computerToken gives a token with which one new computer can be registered, or the one that
// computer_guid names, which who asks has already; then it says so, as a master that does not know
// that field does not. It makes one by GET, as clients ask for it so; pages of other sites cannot.
func (h *hypermedia) computerToken(w http.ResponseWriter, r *http.Request, who Who) error {
	if err := ownSite(r); err != nil {
		return err
	}
	guid := r.URL.Query().Get("computer_guid")
	about(r.Context(), guid)
	token, _, err := h.master.NewToken(r.Context(), who, slap.TokenRecord{Of: slap.CertifiedComputer, Computer: guid})
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, struct {
		Token    string `json:"access_token"`
		Computer string `json:"computer_guid,omitempty"`
	}{token, guid})
}

// ownSite refuses what a page of another site has a browser ask for.
func ownSite(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return nil
	}
	return denied("Asked for by a page of another site.")
}
