package master

import (
	"net/http"

	"github.com/hostler-project/hostler/text/exactjson"
)

// revokePath is where certificates of users are revoked. The full master has nothing for that that
// its clients know.
const revokePath = "/hostler.remove.v0.user_certificate"

// Revoke is the handler of POST /hostler.remove.v0.user_certificate with {"user": NAME}: no
// certificate of the user counts any more, and no token for one. Administrators say that, and a
// user of himself.
func (m *Master) Revoke(opt LegacyOptions) http.Handler {
	s := &rpc{m, opt.whole()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			answerFailure(w, http.StatusMethodNotAllowed, "Certificates are revoked by POST.", "")
			return
		}
		if m.opt.Authority == nil {
			answerFailure(w, http.StatusNotFound, noSuchEndpoint, "")
			return
		}
		v, err := s.revoke(w, r)
		if err == nil {
			err = answerJSON(w, http.StatusOK, v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

func (s *rpc) revoke(w http.ResponseWriter, r *http.Request) (any, error) {
	who, err := s.opt.Who(r)
	if err != nil {
		return nil, err
	}
	body, err := readJSON(w, r)
	if err != nil {
		return nil, err
	}
	var of map[string]string
	if err := exactjson.Unmarshal(body, &of); err != nil || len(of) != 1 {
		return nil, invalid(`the body is to be {"user": "NAME"}`)
	}
	name := of["user"]
	if !plainName().MatchString(name) {
		return nil, badName(name)
	}
	about(r.Context(), name)
	return done("Revoked", s.master.RevokeUser(r.Context(), who, name))
}
