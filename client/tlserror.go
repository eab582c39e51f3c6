package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// tlsError returns what went wrong with TLS, and a hint; nil: it was something else. Nothing was
// sent in that case.
func tlsError(err error) (hint string, text error) {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		alert   tls.AlertError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "--ca FILE ($HOSTLER_CA) trusts the authority whose certificate is in FILE",
			errors.New("its certificate is of an authority that is not trusted here")
	case errors.As(err, &name):
		return "use the name that the certificate is for", fmt.Errorf("its certificate is not for %s", name.Host)
	case errors.As(err, &invalid):
		return "its administrators renew it", fmt.Errorf("its certificate is not good: %w", err)
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "$HOSTLER_CERT and $HOSTLER_KEY, or what hostler login keeps, name one that has run out, or is revoked or of an authority that is unknown there",
			fmt.Errorf("it does not take our certificate: %w", err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "is that the right port? http:// is for controllers on this machine", errors.New("it speaks no TLS")
	}
	return "", nil
}
