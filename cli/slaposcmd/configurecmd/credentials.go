package configurecmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/configure"
	"github.com/hostler-project/hostler/slapos/enrol"
)

// trusting returns the absolute path of a file with authorities, and an HTTP client that trusts
// them; "" and nil for the machine's own.
func trusting(ca string) (string, *http.Client, error) {
	if ca == "" {
		return "", nil, nil
	}
	if err := configure.OneLine(ca); err != nil {
		return "", nil, fault.Invalid("", "--master-ca-file: %w", err)
	}
	ca, err := filepath.Abs(ca)
	if err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(ca)
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in PEM in it")
	}
	if err != nil {
		return "", nil, fault.Invalid("ca.crt in the master's ca_directory is one", "--master-ca-file %s: %w", ca, err)
	}
	return ca, enrol.Client(&tls.Config{RootCAs: roots}), nil
}

// enrolError gives an error of enrol its kind.
func enrolError(err error) error {
	e := &compute.Error{Kind: compute.ErrFailed, Err: err}
	if errors.Is(err, enrol.ErrDenied) {
		e.Kind, e.Hint = compute.ErrDenied, "a token is good for once, and not for long: the master's web page gives another"
	}
	return e
}

// credentials reads the password or the token, unless the options give it.
func credentials(s *session.Session, o *registerOptions) (err error) {
	switch {
	case o.byLogin && o.web.Login == "":
		return fault.Invalid("", "--login: say the name with which you sign in")
	case o.web.Login != "":
		if o.web.Password == "" {
			o.web.Password, err = s.App.ReadToken()
		}
	case o.web.Token == "":
		o.web.Token, err = s.App.ReadToken()
	}
	return err
}
