package controller

import (
	"net/http"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/slapos"
)

// slaposOptions returns the options of this controller's SlapOS master. file is the administrator's
// token.
func (k *controller) slaposOptions(file string) slapos.Options {
	return slapos.Options{
		Host: k.Host, Settings: k.now.Load().slapos, Log: k.Log, TLS: k.files != nil, Callers: k.authenticator(file),
		Members:  k.members,
		Projects: func() []*config.Project { return k.now.Load().cfg.Projects },
		Out:      func() http.RoundTripper { return k.now.Load().out },
		Limits:   k.limits, Audit: k.audit, Observe: k.metrics.countRequest, Metrics: k.metrics.Reg,
	}
}
