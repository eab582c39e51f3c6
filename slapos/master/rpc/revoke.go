package rpc

import (
	"net/http"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/certificate"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/text/exactjson"
)

// revokePath is where certificates of users are revoked. The full master has nothing for that that
// its clients know.
const revokePath = "/hostler.remove.v0.user_certificate"

// revokes serves POST /hostler.remove.v0.user_certificate with {"user": NAME}: it revokes all
// certificates of the user, and all tokens for one. An administrator may do so for all users, a
// user for that user alone.
func (s *api) revokes(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		wire.AnswerFailure(w, http.StatusMethodNotAllowed, "Certificates are revoked by POST.", "")
		return
	}
	if !s.master.Certificates.Certifies() {
		wire.AnswerFailure(w, http.StatusNotFound, access.NoSuchEndpoint, "")
		return
	}
	v, err := s.revoke(w, r)
	if err == nil {
		err = wire.AnswerJSON(w, http.StatusOK, v)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

func (s *api) revoke(w http.ResponseWriter, r *http.Request) (any, error) {
	who, err := s.opt.Who(r)
	if err != nil {
		return nil, err
	}
	body, err := wire.ReadJSON(w, r)
	if err != nil {
		return nil, err
	}
	var of map[string]string
	if err := exactjson.Unmarshal(body, &of); err != nil || len(of) != 1 {
		return nil, access.Invalid(`the body is to be {"user": "NAME"}`)
	}
	name := of["user"]
	if err := certificate.CheckHolder(name); err != nil {
		return nil, err
	}
	access.NoteAbout(r.Context(), name)
	return done("Revoked", s.master.Certificates.RevokeUser(r.Context(), who, name))
}
