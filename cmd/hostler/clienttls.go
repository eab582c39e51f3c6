package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// clientTLS is how a controller is spoken to: which authority its certificate is of, and which
// certificate we show. nil: the usual, and none.
func clientTLS(ca, cert, key string) (*tls.Config, error) {
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
	// Whatever authorities the controller says that it trusts: it tells better than a missing
	// certificate does why ours is not good.
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return out, nil
}

// dial makes a client of a controller that was named.
func (t *target) dial() (*client.Client, error) {
	if socket, ok := strings.CutPrefix(t.where, "unix:"); ok || filepath.IsAbs(t.where) {
		return client.New(client.Options{Socket: cmp.Or(socket, t.where), Token: t.Token, Project: t.project, Reason: t.reason})
	}
	config, err := clientTLS(t.CA, t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{URL: t.where, Token: t.Token, TLS: config, Project: t.project, Reason: t.reason})
}

// ask finds out who we are to a controller that was named. Where we are nobody, or not any more, it
// says what to do.
func (t *target) ask(ctx context.Context) (*client.Client, api.Self, error) {
	again := &compute.Error{Kind: compute.ErrDenied, Hint: "hostler login " + t.where}
	if t.signed {
		again.Hint += ", or hostler logout to ask it no more"
	}
	if t.known && !t.env && t.Expires != nil && time.Now().After(*t.Expires) {
		again.Err = errors.New("you signed in to " + t.where + ", and that ended at " + t.Expires.Local().Format(time.DateTime))
		return nil, api.Self{}, again
	}
	c, err := t.dial()
	if err != nil {
		return nil, api.Self{}, err
	}
	self, err := c.Self(ctx)
	if err == nil {
		return c, self, nil
	}
	_ = c.Close()
	if errors.Is(err, compute.ErrDenied) && strings.Contains(t.where, "://") && !t.env {
		again.Err = err
		if t.known && t.Token != "" {
			again.Err = errors.New("your sign-in to " + t.where + " is good no more: it has ended, or was revoked")
		}
		return nil, api.Self{}, again
	}
	return nil, api.Self{}, err
}

// absolute is a path from the root, so that it means the same in any directory.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	out, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(out)
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return "", fault.Invalid("", "%s: %w", path, pe.Err)
	}
	return out, err
}

// trustAlso adds the authority in a file to those that this machine trusts.
func trustAlso(config *tls.Config, file string) error {
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
