// Package certificate has a master's certificates of people, computers and instances, and tokens
// for them. Each is recorded in the master's ledger, so that it can be revoked.
package certificate

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// An Authority signs certificates by which nodes, users and instances identify themselves to a
// master; see package authority.
type Authority interface {
	// Sign makes a certificate for a holder's name. It returns its unique serial number, and the
	// end of its validity.
	Sign(name string) (pair proto.Certificate, serial string, until time.Time, err error)
}

// Certificates has the certificates of people, computers and instances, and tokens for them.
type Certificates struct {
	ledger    *ledger.Ledger
	authority Authority
}

// New makes the certificates of a master, on its ledger. authority nil: there are none.
func New(l *ledger.Ledger, authority Authority) *Certificates { return &Certificates{l, authority} }

// Certifies says whether there are certificates: it has an authority.
func (m *Certificates) Certifies() bool { return m.authority != nil }

// plainName matches names that may stand in a certificate: they must be unambiguous to all.
var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._@+-]{0,127}$`) })

// CheckHolder checks the name of the holder of a new certificate.
func CheckHolder(name string) error {
	if plainName().MatchString(name) {
		return nil
	}
	return badName(name)
}

func badName(name string) error {
	return access.Invalid(
		"the name %.128q cannot stand in a certificate: letters, digits and . _ - @ + are in one, and 128 characters at most",
		name,
	)
}

// Revoke revokes all certificates of a holder.
func Revoke(b ledger.View, holder string) error {
	all, err := b.Certificates(holder)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := b.Save(ledger.Deletion(record.KindOther, ledger.Key("certificate", c.Serial))); err != nil {
			return err
		}
	}
	return nil
}

// certify signs a certificate, which is valid when this returns. Expired ones of the holder are
// removed.
func (m *Certificates) certify(ctx context.Context, c *record.Certificate, may func(b ledger.View) error) (*proto.Certificate, error) {
	if m.authority == nil {
		return nil, access.Refuse(compute.ErrNotFound, "%s", access.NoSuchEndpoint)
	}
	if !plainName().MatchString(c.Name) {
		return nil, badName(c.Name)
	}
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	// before there is a key
	if err := m.ledger.Read(may); err != nil && !errors.Is(err, ledger.ErrWrites) {
		return nil, err
	}
	pair, serial, until, err := m.authority.Sign(c.Name)
	if err != nil {
		return nil, err
	}
	c.Serial, c.Until = serial, until
	if c.Of == record.CertifiedInstance {
		c.Pair = pair
	}
	now := time.Now()
	err = m.ledger.Do(ctx, func(b ledger.View) error {
		if err := may(b); err != nil {
			return err
		}
		all, err := b.Certificates(ledger.HolderOf(c.Of, c.Name))
		if err != nil {
			return err
		}
		for _, old := range all {
			if now.After(old.Until) {
				if err := b.Save(ledger.Deletion(record.KindOther, ledger.Key("certificate", old.Serial))); err != nil {
					return err
				}
			}
		}
		return b.Save(ledger.CertificateEntry(c))
	})
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// ComputerCertificate signs a certificate by which a node speaks for a computer. Earlier ones stay
// valid. For a computer that is not known yet, only an administrator gets one.
func (m *Certificates) ComputerCertificate(ctx context.Context, who access.Who, guid string) (*proto.Certificate, error) {
	return m.certify(ctx, &record.Certificate{Of: record.CertifiedComputer, Name: guid}, m.mayCertify(who, guid))
}

// mayCertify checks that who owns the computer. An unknown computer is refused to all but a
// caller with every right.
func (m *Certificates) mayCertify(who access.Who, guid string) func(b ledger.View) error {
	return func(b ledger.View) error {
		c, err := b.Computer(guid)
		if err != nil {
			return err
		}
		if err := who.Owns(guid, c); err != nil {
			return err
		}
		if c == nil && !who.All {
			return access.UnknownComputer(guid)
		}
		return nil
	}
}

// RevokeComputer has no certificate of a computer count any more.
func (m *Certificates) RevokeComputer(ctx context.Context, who access.Who, guid string) error {
	if m.authority == nil {
		return access.Refuse(compute.ErrNotFound, "%s", access.NoSuchEndpoint)
	}
	return m.ledger.Do(ctx, func(b ledger.View) error {
		return cmp.Or(m.mayCertify(who, guid)(b), Revoke(b, ledger.HolderOf(record.CertifiedComputer, guid)))
	})
}

// UserCertificate signs a certificate of a user. The user has trees and computers, or may do
// everything as an administrator.
func (m *Certificates) UserCertificate(ctx context.Context, who access.Who, name string, admin bool) (*proto.Certificate, error) {
	return m.certify(
		ctx, &record.Certificate{Of: record.CertifiedUser, Name: name, Admin: admin},
		func(ledger.View) error { return who.Administers() },
	)
}

// OwnCertificate signs a certificate for the user that asks for it. It never makes an
// administrator: the service that knows the users says which they are.
func (m *Certificates) OwnCertificate(ctx context.Context, who access.Who) (*proto.Certificate, error) {
	if who.Name == "" || who.Computer != "" || who.Instance != "" {
		return nil, access.Denied("Only users get certificates of users.")
	}
	return m.certify(
		ctx, &record.Certificate{Of: record.CertifiedUser, Name: who.Name, Project: who.Project, Groups: who.Groups},
		func(ledger.View) error { return nil },
	)
}

// RevokeUser revokes all certificates of a user, and all tokens for one. A user may do that too,
// for that user alone.
func (m *Certificates) RevokeUser(ctx context.Context, who access.Who, name string) error {
	if who.User == "" || who.User != name {
		if err := who.Administers(); err != nil {
			return err
		}
	}
	return m.ledger.Do(ctx, func(b ledger.View) error {
		if err := cmp.Or(Revoke(b, ledger.HolderOf(record.CertifiedUser, name))); err != nil {
			return err
		}
		return dropTokens(b, name)
	})
}

// InstanceCertificate is the certificate of an instance, the same each time until it is soon to run
// out: then it is another, and the old one counts as long as it is good.
func (m *Certificates) InstanceCertificate(ctx context.Context, who access.Who, n *record.Instance) (*proto.Certificate, error) {
	if m.authority == nil {
		return &proto.Certificate{}, nil // as the reference's micro-master answers
	}
	if err := cmp.Or(who.Holds(n), m.ledger.Refresh(ctx)); err != nil {
		return nil, err
	}
	var last *record.Certificate
	if err := m.ledger.Read(func(b ledger.View) error {
		all, err := b.Certificates(ledger.HolderOf(record.CertifiedInstance, n.ID))
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		return err
	}); err != nil {
		return nil, err
	}
	if last != nil && time.Until(last.Until) > renewBefore {
		return &last.Pair, nil
	}
	return m.certify(ctx, &record.Certificate{Of: record.CertifiedInstance, Name: n.ID}, func(b ledger.View) error {
		now, err := b.Instance(n.ID)
		if err == nil && now == nil {
			err = access.Refuse(compute.ErrNotFound, "No software instance %s found.", n.ID)
		}
		return err
	})
}

// renewBefore is how long before it runs out an instance gets another certificate.
const renewBefore = 120 * 24 * time.Hour

// Certified is the holder of the certificate with a serial number, which the master's authority has
// signed. compute.ErrDenied: it is revoked, or this master's store does not know it.
func (m *Certificates) Certified(ctx context.Context, serial string) (who access.Who, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return access.Who{}, err
	}
	mem, done := m.ledger.RLock()
	defer done()
	c := mem.BySerial[serial]
	if c == nil || time.Now().After(c.Until) {
		return access.Who{}, access.Denied("The certificate %s is revoked.", serial)
	}
	who.Via = "certificate " + serial
	switch {
	case c.Of == record.CertifiedComputer:
		who.Computer = c.Name
		return who, nil
	case c.Of == record.CertifiedUser:
		who.Name, who.Project, who.Groups = c.Name, c.Project, c.Groups
		if who.All = c.Admin; !who.All {
			who.User = c.Name
		}
		return who, nil
	case c.Of == record.CertifiedInstance && mem.ByID[c.Name] != nil:
		who.Instance = c.Name
		return who, nil
	}
	return access.Who{}, access.Denied("The certificate %s is of nobody who is known here.", serial)
}
