package logins

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/hostler-project/hostler/compute/fault"
)

// TLS returns the TLS settings for a controller: the authority that it is checked against and
// our certificate. It returns nil if none of these is given.
func TLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fault.Invalid("", "--ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(text) {
			return nil, fault.Invalid(
				"it is the certificate of the authority that has signed the controller's",
				"--ca %s: there is no certificate in PEM in it", ca,
			)
		}
	}
	if cert == "" && key == "" {
		return out, nil
	}
	if cert == "" || key == "" {
		return nil, fault.Invalid("", "the certificate ($HOSTLER_CERT) and its key ($HOSTLER_KEY) go together")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fault.Invalid("", "the certificate %s and its key: %w", cert, err)
	}
	// Show the certificate whatever authorities the controller names. It explains better what is
	// wrong with ours than with a missing one.
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return out, nil
}

// TrustAlso adds the authority in a file to this machine's trusted ones.
func TrustAlso(config *tls.Config, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	all, err := x509.SystemCertPool()
	if err != nil {
		all = x509.NewCertPool()
	}
	all.AppendCertsFromPEM(text)
	config.RootCAs = all
	return nil
}
