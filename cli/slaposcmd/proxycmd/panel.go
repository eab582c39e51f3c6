package proxycmd

import (
	"cmp"
	"net"
	"net/http"
	"os"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/panel"
)

// publicDirectory reads which directory's files a master gives away.
func publicDirectory(f *cfg.File) (string, error) {
	const key = "public_directory_path"
	for _, section := range []string{"slapproxy", "slapos"} {
		if !f.Has(section, key) {
			continue
		}
		path, err := f.Text(section, key)
		if err != nil || path == "" {
			return "", err
		}
		if info, err := os.Stat(path); err != nil {
			return "", f.Fail(section, key, "cannot be used: %v", err)
		} else if !info.IsDir() {
			return "", f.Fail(section, key, "is no directory: %s", path)
		}
		return path, nil
	}
	return "", nil
}

// readFetch reads where the page leads to, beside the internet. A master that only this machine's
// users reach, and which asks for no certificate, leads them to this machine and its neighbours:
// they come there by themselves.
func (o *startOptions) readFetch(f *cfg.File) error {
	for key, to := range map[string]*fetch.Rules{"fetch_allow": &o.allow, "fetch_deny": &o.deny} {
		_, rules, err := f.Fetch("slapproxy", key)
		if err != nil {
			return err
		}
		*to = rules
	}
	if ip := net.ParseIP(o.host); o.tls.mode == "off" && (o.host == "localhost" || ip != nil && ip.IsLoopback()) {
		all, err := fetch.Parse(fetch.Keywords())
		o.allow = append(o.allow, all...)
		return err
	}
	return nil
}

// withPanel puts a master's page before what it answers, with its public files and the way to
// instances.
func withPanel(s *session.Session, m *master.Master, o *startOptions, rest http.Handler) http.Handler {
	who := o.tls.identify(m)
	return panel.Handler(panel.Options{
		Public: o.public,
		Log:    s.App.Log,
		May: func(r *http.Request) error {
			if who == nil {
				return nil
			}
			_, err := who(r)
			return err
		},
		Guard: fetch.New(fetch.Options{Allow: o.allow, Deny: o.deny, Refused: controller.NewRefusals(s.App.Log).Add}),
		Reachable: func(r *http.Request, ip net.IP) (asker fetch.Requester, ok bool, err error) {
			as := access.Anybody
			if who != nil {
				if as, err = who(r); err != nil {
					return asker, false, err
				}
			}
			ok, err = m.Computers.Reaches(r.Context(), as, ip)
			return fetch.Requester{Name: cmp.Or(as.Name, as.Computer, as.Instance), Via: as.Via, From: auth.RemoteHost(r)}, ok, err
		},
	}, rest)
}
