package master

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

const (
	tokenPrefix = "slt_"         // of tokens, by which they are told from others
	tokenLife   = 24 * time.Hour // and no longer are they good
	// that somebody has at a time: another takes the place of that which ends first
	maxTokens = 50
)

// hashOf is what is kept of a token. It has 256 random bits, which nobody guesses however fast the
// hash is.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func tokenEntry(t *slap.TokenRecord) slap.Entry {
	return slap.Entry{Kind: slap.KindOther, Key: key("token", t.Hash), Host: holderOf("token", t.User), Data: pack(t)}
}

// NewToken makes a token for which somebody gets a certificate, once and within a day: of t, Of,
// User, Admin, Project and Computer count. Users make such for computers of their own: new ones,
// and by their names those that they have.
func (m *certificates) NewToken(ctx context.Context, who Who, t slap.TokenRecord) (token string, until time.Time, err error) {
	if m.opt.Authority == nil {
		return "", until, Refuse(compute.ErrNotFound, "%s", NoSuchEndpoint)
	}
	switch {
	case who.All:
	case who.User == "" || t.Of != slap.CertifiedComputer || t.Admin:
		return "", until, Denied("Only an administrator may do this.")
	default:
		t.User, t.Project = who.User, who.Project
	}
	switch name := t.User; {
	case t.Of != slap.CertifiedUser && t.Of != slap.CertifiedComputer:
		return "", until, Invalid("a token is for a certificate of a computer or of a user, not of a %.80q", t.Of)
	case name != "" && !plainName().MatchString(name), t.Of == slap.CertifiedUser && name == "":
		return "", until, badName(name)
	case t.Computer != "" && !plainName().MatchString(t.Computer):
		return "", until, badName(t.Computer)
	}
	if t.Computer != "" && !who.All {
		if err := firstOf(m.ledger.fresh(ctx), m.ledger.read(has(who.User, t.Computer))); err != nil {
			return "", until, err
		}
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	now := time.Now().UTC()
	t.Hash, t.Until = hashOf(token), now.Add(tokenLife).Truncate(time.Second)
	err = m.ledger.store.Update(ctx, func(tx compute.Tx) error {
		p := m.ledger.pages(tx)
		old, err := p.tokensOf(t.User)
		if err != nil {
			return err
		}
		for i, o := range old {
			if now.After(o.Until) || len(old)-i >= maxTokens {
				if err := p.save(gone(slap.KindOther, key("token", o.Hash))); err != nil {
					return err
				}
			}
		}
		return p.save(tokenEntry(&t))
	})
	if err != nil {
		return "", until, err
	}
	changed(ctx)
	return token, t.Until, nil
}

// has says whether a user has a computer of a name. Whose it is does not change.
func has(user, computer string) func(b book) error {
	return func(b book) error {
		c, err := b.computer(computer)
		if err == nil && (c == nil || c.Owner != user) {
			err = Denied("You have no computer %s.", computer)
		}
		return err
	}
}

// spend takes a token from whoever shows it, who gets what may makes of it.
func spend(token, of string, may func(b book, t *slap.TokenRecord) error) func(b book) error {
	hash := hashOf(token)
	return func(b book) error {
		t, err := b.token(hash)
		if err != nil {
			return err
		}
		if t == nil || t.Of != of || time.Now().After(t.Until) {
			return Denied("The token is not known, was used, or is older than a day.")
		}
		return firstOf(may(b, t), b.save(gone(slap.KindOther, key("token", hash))))
	}
}

// IsToken says whether a text is a token of a master.
func IsToken(text string) bool { return strings.HasPrefix(text, tokenPrefix) }

// offered is what a token is good for, as far as the memory knows.
func (m *certificates) offered(ctx context.Context, token, of string) (t slap.TokenRecord, err error) {
	if err := m.ledger.fresh(ctx); err != nil {
		return t, err
	}
	err = m.ledger.read(spendless(token, of, &t))
	return t, err
}

func spendless(token, of string, into *slap.TokenRecord) func(b book) error {
	look := spend(token, of, func(_ book, t *slap.TokenRecord) error {
		*into = *t
		return errWrites // before anything is written
	})
	return func(b book) error {
		if err := look(b); err != errWrites {
			return err
		}
		return nil
	}
}

// PersonCertificate is the certificate of the user whom a token is for.
func (m *certificates) PersonCertificate(ctx context.Context, token string) (*slap.Certificate, error) {
	t, err := m.offered(ctx, token, slap.CertifiedUser)
	if err != nil {
		return nil, err
	}
	return m.certify(ctx, &slap.CertificateRecord{Of: slap.CertifiedUser, Name: t.User, Admin: t.Admin, Project: t.Project},
		spend(token, slap.CertifiedUser, func(book, *slap.TokenRecord) error { return nil }))
}

// RegisterBy makes a computer of a title for whom a token is, and returns its name and its
// certificate. Who has a token need not be whose the computers are: it is good for one that there
// is only where it names that; for another of a title that is taken it is compute.ErrConflict, and
// the token stays.
func (m *certificates) RegisterBy(ctx context.Context, token, title string) (guid string, pair *slap.Certificate, err error) {
	t, err := m.offered(ctx, token, slap.CertifiedComputer)
	if err != nil {
		return "", nil, err
	}
	c := &slap.ComputerRecord{GUID: t.Computer, Title: title, Owner: t.User, Project: t.Project}
	return m.register(ctx, c, false, func(may func(b book) error) func(b book) error {
		return spend(token, slap.CertifiedComputer, func(b book, _ *slap.TokenRecord) error { return may(b) })
	})
}

// Register makes a computer of a title for a user, and returns its name and its certificate. Where
// he has one of the title already it is that.
func (m *certificates) Register(ctx context.Context, who Who, title string) (guid string, pair *slap.Certificate, err error) {
	if !who.All && who.User == "" {
		return "", nil, Denied("Only users ask for computers.")
	}
	c := &slap.ComputerRecord{Title: title, Owner: who.User, Project: who.Project}
	return m.register(ctx, c, true, func(may func(b book) error) func(b book) error { return may })
}

// register makes a computer and its certificate at once: there are both, or none. again: one that
// has the title already it may be too.
func (m *certificates) register(
	ctx context.Context, c *slap.ComputerRecord, again bool, with func(may func(b book) error) func(b book) error,
) (string, *slap.Certificate, error) {
	if err := firstOf(CheckName("title", c.Title, MaxTitle), m.ledger.fresh(ctx)); err != nil {
		return "", nil, err
	}
	c.Created = time.Now().UTC()
	if c.GUID == "" {
		c.GUID = newComputerID()
		_ = m.ledger.read(func(b book) error { // the memory's look-ups do not fail
			if known, _ := b.computerNamed(computerEntry(c).Name); known != nil && again {
				c.GUID = known.GUID
			}
			return nil
		})
	}
	may := func(b book) error {
		if known, err := b.computer(c.GUID); err != nil || known != nil {
			return err
		}
		if same, err := b.computerNamed(computerEntry(c).Name); err != nil {
			return err
		} else if same != nil {
			return Refuse(
				compute.ErrConflict,
				"There is a computer with the title %s already: ask with another title, or with a token that names that one.",
				c.Title,
			)
		}
		return b.save(computerEntry(c))
	}
	pair, err := m.certify(ctx, &slap.CertificateRecord{Of: slap.CertifiedComputer, Name: c.GUID}, with(may))
	return c.GUID, pair, err
}

func (m *memory) token(hash string) (*slap.TokenRecord, error) { return m.tokens[hash], nil }

func (m *memory) applyToken(e slap.Entry) error {
	prefix, hash := cut(e.Key)
	if prefix != "token" {
		return nil
	}
	delete(m.tokens, hash)
	if e.Data == nil {
		return nil
	}
	t, err := unpack[slap.TokenRecord](e)
	m.tokens[hash] = t
	return err
}

func (p *pages) token(hash string) (*slap.TokenRecord, error) {
	e, ok, err := p.entry(slap.KindOther, key("token", hash))
	if !ok {
		return nil, err
	}
	return unpack[slap.TokenRecord](e)
}

func (m *memory) tokensOf(user string) (all []*slap.TokenRecord, err error) {
	for _, t := range m.tokens { // there are few
		if t.User == user {
			all = append(all, t)
		}
	}
	return inTime(all), nil
}

// inTime puts tokens in order, that which ends first first.
func inTime(all []*slap.TokenRecord) []*slap.TokenRecord {
	slices.SortFunc(all, func(a, b *slap.TokenRecord) int { return a.Until.Compare(b.Until) })
	return all
}

// dropTokens has no token of a user be good for anything any more.
func dropTokens(b book, user string) error {
	all, err := b.tokensOf(user)
	for _, t := range all {
		err = firstOf(err, b.save(gone(slap.KindOther, key("token", t.Hash))))
	}
	return err
}

func (p *pages) tokensOf(user string) ([]*slap.TokenRecord, error) {
	entries, err := p.tx.SlapEntries(slap.EntryQuery{Kind: slap.KindOther, Host: holderOf("token", user)})
	if err != nil {
		return nil, err
	}
	all := make([]*slap.TokenRecord, len(entries))
	for i, e := range entries {
		if all[i], err = unpack[slap.TokenRecord](e); err != nil {
			return nil, err
		}
	}
	return inTime(all), nil
}
