package master

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// An Authority signs certificates by which others show to a master who they are; see package
// authority.
type Authority interface {
	// Sign makes one for somebody of a name, with its serial number, which no other has, and until
	// when it is good.
	Sign(name string) (pair slap.Certificate, serial string, until time.Time, err error)
}

// plainName is what may stand in a certificate: it must look the same to everybody.
var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._@+-]{0,127}$`) })

// CheckHolder checks the name of who is to have a certificate.
func CheckHolder(name string) error {
	if plainName().MatchString(name) {
		return nil
	}
	return badName(name)
}

func badName(name string) error {
	return Invalid(
		"the name %.128q cannot stand in a certificate: letters, digits and . _ - @ + are in one, and 128 characters at most",
		name,
	)
}

// holderOf is by what certificates of somebody are found.
func holderOf(of, name string) string { return key("certificate", of, name) }

func certificateEntry(c *slap.CertificateRecord) slap.Entry {
	return slap.Entry{Kind: slap.KindOther, Key: key("certificate", c.Serial), Host: holderOf(c.Of, c.Name), Data: pack(c)}
}

// revoke has no certificate of somebody count any more.
func revoke(b book, holder string) error {
	all, err := b.certificates(holder)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := b.save(gone(slap.KindOther, key("certificate", c.Serial))); err != nil {
			return err
		}
	}
	return nil
}

// certify signs a certificate, which counts when this returns. What has run out of the same holder
// goes.
func (m *certificates) certify(ctx context.Context, c *slap.CertificateRecord, may func(b book) error) (*slap.Certificate, error) {
	if m.opt.Authority == nil {
		return nil, Refuse(compute.ErrNotFound, "%s", NoSuchEndpoint)
	}
	if !plainName().MatchString(c.Name) {
		return nil, badName(c.Name)
	}
	if err := m.ledger.fresh(ctx); err != nil {
		return nil, err
	}
	// before there is a key
	if err := m.ledger.read(may); err != nil && !errors.Is(err, errWrites) {
		return nil, err
	}
	pair, serial, until, err := m.opt.Authority.Sign(c.Name)
	if err != nil {
		return nil, err
	}
	c.Serial, c.Until = serial, until
	if c.Of == slap.CertifiedInstance {
		c.Pair = pair
	}
	now := time.Now()
	err = m.ledger.do(ctx, func(b book) error {
		if err := may(b); err != nil {
			return err
		}
		all, err := b.certificates(holderOf(c.Of, c.Name))
		if err != nil {
			return err
		}
		for _, old := range all {
			if now.After(old.Until) {
				if err := b.save(gone(slap.KindOther, key("certificate", old.Serial))); err != nil {
					return err
				}
			}
		}
		return b.save(certificateEntry(c))
	})
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// ComputerCertificate signs a certificate by which a node speaks for a computer. Those that it had
// count still. Only who may do everything gets one for a computer that is not known yet.
func (m *certificates) ComputerCertificate(ctx context.Context, who Who, guid string) (*slap.Certificate, error) {
	return m.certify(ctx, &slap.CertificateRecord{Of: slap.CertifiedComputer, Name: guid}, m.mayCertify(who, guid))
}

func (m *certificates) mayCertify(who Who, guid string) func(b book) error {
	return func(b book) error {
		c, err := b.computer(guid)
		if err != nil {
			return err
		}
		if err := who.owns(guid, c); err != nil {
			return err
		}
		if c == nil && !who.All {
			return unknownComputer(guid)
		}
		return nil
	}
}

// RevokeComputer has no certificate of a computer count any more.
func (m *certificates) RevokeComputer(ctx context.Context, who Who, guid string) error {
	if m.opt.Authority == nil {
		return Refuse(compute.ErrNotFound, "%s", NoSuchEndpoint)
	}
	return m.ledger.do(ctx, func(b book) error {
		return firstOf(m.mayCertify(who, guid)(b), revoke(b, holderOf(slap.CertifiedComputer, guid)))
	})
}

// UserCertificate signs a certificate of a user, who has trees and computers of his own, or may do
// everything as an administrator.
func (m *certificates) UserCertificate(ctx context.Context, who Who, name string, admin bool) (*slap.Certificate, error) {
	return m.certify(
		ctx, &slap.CertificateRecord{Of: slap.CertifiedUser, Name: name, Admin: admin},
		func(book) error { return who.administers() },
	)
}

// OwnCertificate signs a certificate of a user for himself. It makes no administrator: whoever
// knows the users says who is one.
func (m *certificates) OwnCertificate(ctx context.Context, who Who) (*slap.Certificate, error) {
	if who.Name == "" || who.Computer != "" || who.Instance != "" {
		return nil, Denied("Only users get certificates of users.")
	}
	return m.certify(
		ctx, &slap.CertificateRecord{Of: slap.CertifiedUser, Name: who.Name, Project: who.Project, Groups: who.Groups},
		func(book) error { return nil },
	)
}

// RevokeUser has no certificate of a user count any more, and no token for one. He may do that
// himself.
func (m *certificates) RevokeUser(ctx context.Context, who Who, name string) error {
	if who.User == "" || who.User != name {
		if err := who.administers(); err != nil {
			return err
		}
	}
	return m.ledger.do(ctx, func(b book) error {
		if err := firstOf(revoke(b, holderOf(slap.CertifiedUser, name))); err != nil {
			return err
		}
		return dropTokens(b, name)
	})
}

func (who Who) administers() error {
	if !who.All {
		return Denied("Only an administrator may do this.")
	}
	return nil
}

// InstanceCertificate is the certificate of an instance, the same each time until it is soon to run
// out: then it is another, and the old one counts as long as it is good.
func (m *certificates) InstanceCertificate(ctx context.Context, who Who, n *slap.InstanceRecord) (*slap.Certificate, error) {
	if m.opt.Authority == nil {
		return &slap.Certificate{}, nil // as the reference's micro-master answers
	}
	if err := firstOf(who.holds(n), m.ledger.fresh(ctx)); err != nil {
		return nil, err
	}
	var last *slap.CertificateRecord
	if err := m.ledger.read(func(b book) error {
		all, err := b.certificates(holderOf(slap.CertifiedInstance, n.ID))
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
	return m.certify(ctx, &slap.CertificateRecord{Of: slap.CertifiedInstance, Name: n.ID}, func(b book) error {
		now, err := b.instance(n.ID)
		if err == nil && now == nil {
			err = Refuse(compute.ErrNotFound, "No software instance %s found.", n.ID)
		}
		return err
	})
}

// renewBefore is how long before it runs out an instance gets another certificate.
const renewBefore = 120 * 24 * time.Hour

// Certified is who holds the certificate of a serial number, which the master's authority has
// signed. compute.ErrDenied: it is revoked, or this master's store does not know it.
func (m *certificates) Certified(ctx context.Context, serial string) (who Who, err error) {
	if err := m.ledger.fresh(ctx); err != nil {
		return Who{}, err
	}
	m.ledger.known.mu.RLock()
	defer m.ledger.known.mu.RUnlock()
	c := m.ledger.known.memory.bySerial[serial]
	if c == nil || time.Now().After(c.Until) {
		return Who{}, Denied("The certificate %s is revoked.", serial)
	}
	who.Via = "certificate " + serial
	switch {
	case c.Of == slap.CertifiedComputer:
		who.Computer = c.Name
		return who, nil
	case c.Of == slap.CertifiedUser:
		who.Name, who.Project, who.Groups = c.Name, c.Project, c.Groups
		if who.All = c.Admin; !who.All {
			who.User = c.Name
		}
		return who, nil
	case c.Of == slap.CertifiedInstance && m.ledger.known.memory.byID[c.Name] != nil:
		who.Instance = c.Name
		return who, nil
	}
	return Who{}, Denied("The certificate %s is of nobody who is known here.", serial)
}

// sorted puts certificates in order, the one that is good longest last.
func sorted(all []*slap.CertificateRecord) []*slap.CertificateRecord {
	slices.SortFunc(all, func(a, b *slap.CertificateRecord) int { return a.Until.Compare(b.Until) })
	return all
}

func (m *memory) certificates(holder string) (all []*slap.CertificateRecord, err error) {
	for serial := range maps.Keys(m.holders[holder]) {
		all = append(all, m.bySerial[serial])
	}
	return sorted(all), nil
}

func (m *memory) applyCertificate(e slap.Entry) error {
	prefix, serial := cut(e.Key)
	if prefix != "certificate" {
		return nil
	}
	if old := m.bySerial[serial]; old != nil {
		drop(m.holders, holderOf(old.Of, old.Name), serial)
		delete(m.bySerial, serial)
	}
	if e.Data == nil {
		return nil
	}
	c, err := unpack[slap.CertificateRecord](e)
	if err != nil {
		return err
	}
	m.bySerial[serial] = c
	add(m.holders, holderOf(c.Of, c.Name), serial)
	return nil
}

func (p *pages) certificates(holder string) ([]*slap.CertificateRecord, error) {
	entries, err := p.tx.SlapEntries(slap.EntryQuery{Kind: slap.KindOther, Host: holder})
	if err != nil {
		return nil, err
	}
	all := make([]*slap.CertificateRecord, len(entries))
	for i, e := range entries {
		if all[i], err = unpack[slap.CertificateRecord](e); err != nil {
			return nil, err
		}
	}
	return sorted(all), nil
}
