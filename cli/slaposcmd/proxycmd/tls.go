package proxycmd

import (
	"crypto/tls"
	"net"
	"path/filepath"

	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/cfg"
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
