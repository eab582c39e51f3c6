package certificate

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

const (
	tokenPrefix = "slt_"         // prefix of tokens, which tells them apart
	tokenLife   = 24 * time.Hour // and no longer are they good
	// of a user at a time: a new one replaces the one that ends first
	maxTokens = 50
)

// hashOf is the stored form of a token. A token has 256 random bits, so a fast hash is safe from
// guessing.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// NewToken makes a token, good for one certificate, once and within a day. It reads t's Of, User,
// Admin, Project and Computer. Users may make tokens for own computers: for new ones, and by name
// for those that they have.
func (m *Certificates) NewToken(ctx context.Context, who access.Who, t record.Token) (token string, until time.Time, err error) {
	if m.authority == nil {
		return "", until, access.Refuse(compute.ErrNotFound, "%s", access.NoSuchEndpoint)
	}
	switch {
	case who.All:
	case who.User == "" || t.Of != record.CertifiedComputer || t.Admin:
		return "", until, access.Denied("Only an administrator may do this.")
	default:
		t.User, t.Project = who.User, who.Project
	}
	switch name := t.User; {
	case t.Of != record.CertifiedUser && t.Of != record.CertifiedComputer:
		return "", until, access.Invalid("a token is for a certificate of a computer or of a user, not of a %.80q", t.Of)
	case name != "" && !plainName().MatchString(name), t.Of == record.CertifiedUser && name == "":
		return "", until, badName(name)
	case t.Computer != "" && !plainName().MatchString(t.Computer):
		return "", until, badName(t.Computer)
	}
	if t.Computer != "" && !who.All {
		if err := cmp.Or(m.ledger.Refresh(ctx), m.ledger.Read(has(who.User, t.Computer))); err != nil {
			return "", until, err
		}
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	now := time.Now().UTC()
	t.Hash, t.Until = hashOf(token), now.Add(tokenLife).Truncate(time.Second)
	err = m.ledger.Store.Update(ctx, func(tx store.Tx) error {
		p := m.ledger.TxView(tx)
		old, err := p.TokensOf(t.User)
		if err != nil {
			return err
		}
		for i, o := range old {
			if now.After(o.Until) || len(old)-i >= maxTokens {
				if err := p.Save(ledger.Deletion(record.KindOther, ledger.Key("token", o.Hash))); err != nil {
					return err
				}
			}
		}
		return p.Save(ledger.TokenEntry(&t))
	})
	if err != nil {
		return "", until, err
	}
	access.NoteChange(ctx)
	return token, t.Until, nil
}

// has checks that a user has a computer of a name. Its owner does not change.
func has(user, computer string) func(b ledger.View) error {
	return func(b ledger.View) error {
		c, err := b.Computer(computer)
		if err == nil && (c == nil || c.Owner != user) {
			err = access.Denied("You have no computer %s.", computer)
		}
		return err
	}
}

// useToken uses up the token that a caller shows. may checks it and does what the token allows.
func useToken(token, of string, may func(b ledger.View, t *record.Token) error) func(b ledger.View) error {
	hash := hashOf(token)
	return func(b ledger.View) error {
		t, err := b.Token(hash)
		if err != nil {
			return err
		}
		if t == nil || t.Of != of || time.Now().After(t.Until) {
			return access.Denied("The token is not known, was used, or is older than a day.")
		}
		return cmp.Or(may(b, t), b.Save(ledger.Deletion(record.KindOther, ledger.Key("token", hash))))
	}
}

// IsToken says whether a text is a token of a master.
func IsToken(text string) bool { return strings.HasPrefix(text, tokenPrefix) }

// tokenFor is what a token is good for, as far as the memory knows.
func (m *Certificates) tokenFor(ctx context.Context, token, of string) (t record.Token, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return t, err
	}
	err = m.ledger.Read(checkToken(token, of, &t))
	return t, err
}

// checkToken checks a token as useToken does, and copies it to into, but writes nothing.
func checkToken(token, of string, into *record.Token) func(b ledger.View) error {
	look := useToken(token, of, func(_ ledger.View, t *record.Token) error {
		*into = *t
		return ledger.ErrWrites // before anything is written
	})
	return func(b ledger.View) error {
		if err := look(b); err != ledger.ErrWrites {
			return err
		}
		return nil
	}
}

// PersonCertificate is the certificate of the user that a token is for.
func (m *Certificates) PersonCertificate(ctx context.Context, token string) (*proto.Certificate, error) {
	t, err := m.tokenFor(ctx, token, record.CertifiedUser)
	if err != nil {
		return nil, err
	}
	return m.certify(ctx, &record.Certificate{Of: record.CertifiedUser, Name: t.User, Admin: t.Admin, Project: t.Project},
		useToken(token, record.CertifiedUser, func(ledger.View, *record.Token) error { return nil }))
}

// RegisterBy makes a computer of a title for the user of a token, and returns its name and its
// certificate. The caller with the token need not be the owner of the computers. So the token is
// good for an existing computer only if it names that. If another computer has the title, it is
// compute.ErrConflict, and the token stays.
func (m *Certificates) RegisterBy(ctx context.Context, token, title string) (guid string, pair *proto.Certificate, err error) {
	t, err := m.tokenFor(ctx, token, record.CertifiedComputer)
	if err != nil {
		return "", nil, err
	}
	c := &record.Computer{GUID: t.Computer, Title: title, Owner: t.User, Project: t.Project}
	return m.register(ctx, c, false, func(may func(b ledger.View) error) func(b ledger.View) error {
		return useToken(token, record.CertifiedComputer, func(b ledger.View, _ *record.Token) error { return may(b) })
	})
}

// Register makes a computer of a title for a user, and returns its name and its certificate. If the
// user has one of the title already it is that.
func (m *Certificates) Register(ctx context.Context, who access.Who, title string) (guid string, pair *proto.Certificate, err error) {
	if !who.All && who.User == "" {
		return "", nil, access.Denied("Only users ask for computers.")
	}
	c := &record.Computer{Title: title, Owner: who.User, Project: who.Project}
	return m.register(ctx, c, true, func(may func(b ledger.View) error) func(b ledger.View) error { return may })
}

// register makes a computer and its certificate at once: there are both, or none. again: one that
// has the title already it may be too.
func (m *Certificates) register(
	ctx context.Context, c *record.Computer, again bool, with func(may func(b ledger.View) error) func(b ledger.View) error,
) (string, *proto.Certificate, error) {
	if err := cmp.Or(access.CheckName("title", c.Title, access.MaxTitle), m.ledger.Refresh(ctx)); err != nil {
		return "", nil, err
	}
	c.Created = time.Now().UTC()
	if c.GUID == "" {
		c.GUID = access.NewComputerID()
		_ = m.ledger.Read(func(b ledger.View) error { // the memory's look-ups do not fail
			if known, _ := b.ComputerNamed(ledger.ComputerEntry(c).Name); known != nil && again {
				c.GUID = known.GUID
			}
			return nil
		})
	}
	may := func(b ledger.View) error {
		if known, err := b.Computer(c.GUID); err != nil || known != nil {
			return err
		}
		if same, err := b.ComputerNamed(ledger.ComputerEntry(c).Name); err != nil {
			return err
		} else if same != nil {
			return access.Refuse(
				compute.ErrConflict,
				"There is a computer with the title %s already: ask with another title, or with a token that names that one.",
				c.Title,
			)
		}
		return b.Save(ledger.ComputerEntry(c))
	}
	pair, err := m.certify(ctx, &record.Certificate{Of: record.CertifiedComputer, Name: c.GUID}, with(may))
	return c.GUID, pair, err
}

// dropTokens has no token of a user be good for anything any more.
func dropTokens(b ledger.View, user string) error {
	all, err := b.TokensOf(user)
	for _, t := range all {
		err = cmp.Or(err, b.Save(ledger.Deletion(record.KindOther, ledger.Key("token", t.Hash))))
	}
	return err
}
