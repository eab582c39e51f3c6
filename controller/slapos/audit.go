package slapos

import (
	"net/http"
	"strings"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/slapos/master/access"
)

// denied reports whether a status says that the caller may not do this, or is not known.
func denied(status int) bool {
	return status == http.StatusForbidden || status == http.StatusUnauthorized
}

// audit writes changes and refusals to the audit log.
func (g *guard) audit(r *http.Request, route string, status int, begun time.Time, found *identified, act *access.Act) {
	if !act.Changed && !denied(status) {
		return
	}
	p := found.as
	if p.From == "" && !p.Here {
		p.From = auth.RemoteHost(r)
	}
	// identified by the token that it presented for a certificate
	if found.err != nil && act.Who.Name != "" {
		p.Name, p.Via = act.Who.Name, act.Who.Via
	}
	a := request.Begin(r, "slapos."+strings.TrimPrefix(route, "slapos."), p)
	a.Time, a.Outcome = begun, "done"
	a.About(act.Who.Project, act.Thing)
	switch {
	case !act.Changed:
		a.Outcome = "denied"
	case status == http.StatusNotFound:
		a.Outcome = "no-capacity" // a request without a place is kept
	case status >= 400:
		a.Outcome = "failed"
	}
	g.requests.Add(a.AuditEntry, act.Changed)
}
