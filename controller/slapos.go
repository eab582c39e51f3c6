package controller

import (
	"net/http"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/slapos"
)

// slaposOptions returns the options of this controller's SlapOS master. file is the administrator's
// token.
func (k *controller) slaposOptions(file string) slapos.Options {
	return slapos.Options{
		Host: k.Host, Log: k.Log, TLS: k.files != nil, Authenticate: k.authenticate(file),
		Holder:   func(r *http.Request, token string) (auth.Principal, error) { return k.holder(r, token, file) },
		Members:  k.members,
		Projects: func() []*config.Project { return k.now.Load().people.projects },
		Out:      func() http.RoundTripper { return k.now.Load().out },
		Limits:   k.limits, Audit: k.audit, Observe: k.meters.asked, Metrics: k.meters.Reg,
	}
}
