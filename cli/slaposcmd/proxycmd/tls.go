package proxycmd

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
)

// tlsSettings has the TLS settings with which a master identifies its clients.
type tlsSettings struct {
	mode      string // off, optional or required
	directory string // of the authority
	own       *tls.Certificate
	authority *authority.Authority
}

// readTLS reads these settings. A master that others can reach must identify its clients,
// unless the file says otherwise.
func readTLS(f *cfg.File, host string) (t tlsSettings, err error) {
	var certFile, keyFile string
	for key, to := range map[string]*string{"tls": &t.mode, "tls_cert": &certFile, "tls_key": &keyFile} {
		if *to, err = f.Text("slapproxy", key); err != nil {
			return t, err
		}
	}
	switch ip := net.ParseIP(host); {
	case t.mode == "" && (host == "localhost" || ip != nil && ip.IsLoopback()):
		t.mode = "off"
	case t.mode == "":
		t.mode = "required"
	case t.mode != "off" && t.mode != "optional" && t.mode != "required":
		return t, f.Fail("slapproxy", "tls", "is %q, none of off, optional, required", t.mode)
	}
	if (certFile == "") != (keyFile == "") {
		return t, f.Fail("slapproxy", "tls_cert", "and tls_key go together: one of them is not there")
	}
	if certFile != "" && t.mode != "off" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return t, f.Fail("slapproxy", "tls_cert", "cannot be used: %v", err)
		}
		t.own = &pair
	}
	t.directory, err = authorityDirectory(f)
	return t, err
}

// authorityDirectory is the directory of a master's authority.
func authorityDirectory(f *cfg.File) (string, error) {
	directory, err := f.Text("slapproxy", "ca_directory")
	if err != nil || directory != "" {
		return directory, err
	}
	state, err := host.StateDir()
	return filepath.Join(state, "slapos-ca"), err
}

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
