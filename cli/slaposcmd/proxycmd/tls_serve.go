package proxycmd

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
)

// open gives a master its authority, if it identifies its clients.
func (t *tlsSettings) open(opt *master.Options) (err error) {
	if t.mode == "off" {
		return nil
	}
	if t.authority, err = authority.Open(t.directory); err == nil {
		opt.Authority = t.authority
	}
	return err
}

// listen has a listener speak TLS, or both, or leaves it as it is.
func (t *tlsSettings) listen(l net.Listener, host string) (_ net.Listener, scheme string) {
	if t.mode == "off" {
		return l, "http"
	}
	settings := t.authority.TLS(t.own, ownNames(host))
	if t.mode == "optional" {
		settings.NextProtos = []string{"http/1.1"} // eitherListener cannot pass on other protocols
		return eitherListener{l, settings}, "https"
	}
	return tls.NewListener(l, settings), "https"
}

// ownNames are those by which clients may reach what listens on a host.
func ownNames(host string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return append(names, host)
	}
	all, _ := net.InterfaceAddrs() // without them some clients do not know it, and say so
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			names = append(names, n.IP.String())
		}
	}
	return names
}

// identify returns the function that identifies clients; nil if any client may do everything.
func (t *tlsSettings) identify(m *master.Master) func(r *http.Request) (access.Who, error) {
	if t.mode == "off" {
		return nil
	}
	return func(r *http.Request) (access.Who, error) {
		serial, shown, err := t.authority.Client(r.TLS)
		switch {
		case err != nil:
			return access.Who{}, &access.Refusal{
				Kind: compute.ErrDenied, Text: "The certificate does not count.", Detail: term.ErrorText(err),
			}
		case shown:
			return m.Certificates.Certified(r.Context(), serial)
		case t.mode == "optional":
			return access.Anybody, nil
		}
		return access.Who{}, &access.Refusal{
			Kind: compute.ErrDenied, Text: "This master wants to know who asks, by a certificate.",
			Detail: "cert_file and key_file name it",
		}
	}
}
