package main

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/slap/authority"
	"github.com/hostler-project/hostler/slap/master"
	"github.com/hostler-project/hostler/slap/view"
)

// slaposPath is below which a controller is a master for SlapOS too.
const slaposPath = "/slapos"

// slapping is the section [slap] of hostler.conf: where it stands, a controller is a master for SlapOS too.
type slapping struct {
	Computer  string `conf:"computer"`     // where goes what names no computer; "": any that fits
	Directory string `conf:"ca_directory"` // of the authority by whose certificates nodes are known; "": there is none
}

// readSlapping reads it; false: it is not there.
func readSlapping(cfg *config.Config) (s slapping, there bool, err error) {
	section, there := cfg.Sections["slap"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	err = config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, &s)
	if s.Directory != "" && !filepath.IsAbs(s.Directory) { // it lies beside the file that says it
		s.Directory = filepath.Join(filepath.Dir(section["ca_directory"].File), s.Directory)
	}
	return s, there, configError(err)
}

// withSlapos puts the master before what a controller answers, where [slap] is. Whoever asks is somebody whom the controller or the master's authority knows, and pages of other sites
// cannot ask for him.
func (k *controller) withSlapos(ctx context.Context, file string, rest http.Handler) (http.Handler, error) {
	said, there, err := readSlapping(k.app.cfg)
	if err != nil || !there {
		return rest, err
	}
	opt := master.Options{Store: k.app.store, Computer: said.Computer, Log: k.app.log}
	var ca *authority.Authority
	if said.Directory != "" {
		if k.files == nil {
			return nil, invalid("give --tls-cert and --tls-key, or take it out", "ca-directory in [slap]: nodes show certificates by TLS alone")
		}
		if ca, err = authority.Open(said.Directory); err != nil {
			return nil, err
		}
		opt.Authority = ca
	}
	m, err := master.New(ctx, opt)
	if err != nil {
		return nil, err
	}
	k.slap = view.New(view.Options{Master: m, Who: func(p auth.Principal, writes bool) (master.Who, error) {
		if writes {
			return slaposWho(p, http.MethodPost)
		}
		return slaposWho(p, http.MethodGet)
	}})
	authenticate := k.authenticate(file)
	whole := m.Handler(master.LegacyOptions{
		Who: func(r *http.Request) (master.Who, error) {
			if ca != nil {
				// Who shows a certificate of another authority may be somebody whom the controller knows.
				if serial, shown, err := ca.Client(r.TLS); shown && err == nil {
					return m.Certified(r.Context(), serial)
				}
			}
			p, err := authenticate(r)
			if err != nil {
				return master.Who{}, err
			}
			return slaposWho(p, r.Method)
		},
		Base: func(r *http.Request) string { return master.Base(r) + slaposPath[1:] + "/" },
	})
	mux := http.NewServeMux()
	mux.Handle(slaposPath+"/", http.StripPrefix(slaposPath, http.NewCrossOriginProtection().Handler(whole)))
	mux.Handle("/", rest)
	return mux, nil
}

// slaposWho is whom the master takes somebody for: an administrator for everybody, others for users with trees of their own.
func slaposWho(p auth.Principal, method string) (master.Who, error) {
	if p.Admin() {
		return master.Anybody, nil
	}
	what := auth.Use
	if method == http.MethodGet || method == http.MethodHead {
		what = auth.See
	}
	if home, ok := p.Home(what); ok && p.Project == "" && !p.May(what, p.Project) {
		p.Project = home // he is in one alone
	}
	if p.Source != "" || p.Lease != "" || !p.May(what, p.Project) {
		return master.Who{}, &master.Refusal{Kind: compute.ErrDenied, Text: "You may not do this in the project.", Detail: "ask an administrator for a role in it"}
	}
	return master.Who{User: p.Name, Project: p.Project}, nil
}
