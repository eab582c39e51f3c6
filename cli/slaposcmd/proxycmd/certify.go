package proxycmd

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// certify makes or revokes the certificate.
func certify(ctx context.Context, s *session.Session, m *master.Master, view *certificateView, o *certificateOptions) (err error) {
	if o.revoke {
		revoke := m.Certificates.RevokeUser
		if view.Of == record.CertifiedComputer {
			revoke = m.Certificates.RevokeComputer
		}
		if err := revoke(ctx, access.Anybody, view.Name); err != nil {
			return err
		}
		s.Log.Say("No certificate of the %s %s counts any more", view.Of, view.Name)
		return nil
	}
	if o.token {
		return certifyLater(ctx, s, m, view, o)
	}
	var pair *proto.Certificate
	if view.Of == record.CertifiedComputer {
		pair, err = m.Certificates.ComputerCertificate(ctx, access.Anybody, view.Name)
	} else {
		pair, err = m.Certificates.UserCertificate(ctx, access.Anybody, view.Name, o.admin)
	}
	if errors.As(err, new(*access.Refusal)) {
		return fault.Invalid("", "%w", err)
	} else if err != nil {
		return err
	}
	for file, text := range map[string]string{view.Key: pair.Key, view.Certificate: pair.Certificate} {
		if err := newFile(file, text); err != nil {
			return err
		}
	}
	s.Log.Say("%s and %s are of the %s %s; the master is known by %s", view.Certificate, view.Key, view.Of, view.Name, view.Authority)
	return nil
}

// certifyLater prints a token instead of signing a certificate.
func certifyLater(ctx context.Context, s *session.Session, m *master.Master, view *certificateView, o *certificateOptions) error {
	t := record.Token{Of: view.Of, User: view.Name, Admin: o.admin}
	if view.Of == record.CertifiedComputer {
		t.User, t.Computer = "", view.Name
	}
	token, until, err := m.Certificates.NewToken(ctx, access.Anybody, t)
	if errors.As(err, new(*access.Refusal)) {
		return fault.Invalid("", "%w", err)
	} else if err != nil {
		return err
	}
	view.Token, view.Until = token, until.Format(time.RFC3339)
	if s.App.JSON {
		return nil
	}
	s.Log.Say(
		"A token for the certificate of the %s %s, good for once and until %s; the master is known by %s", view.Of,
		view.Name, until.Local().Format(time.DateTime), view.Authority,
	)
	return term.Printf(s.App.Out, "%s\n", token)
}

// newFile writes a new file for its owner alone.
func newFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// certificateView is what `slapos proxy certificate` prints with --json.
type certificateView struct {
	Of          string `json:"of"`
	Name        string `json:"name"`
	Revoked     bool   `json:"revoked,omitzero"`
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	Token       string `json:"token,omitempty"`
	Until       string `json:"until,omitempty"`
	Authority   string `json:"authority"`
}
