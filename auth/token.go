package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Token is what is kept of a token: all but the token itself, of which there is only a hash.
type Token struct {
	ID   string `json:"id"`
	Hash Hash   `json:"-"`
	// TokenOf a person or program, a Session that a sign-in opened, or a TokenLease
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"` // what it is for, for people to read
	Owner string `json:"owner"`          // who comes with it is this one
	// in which he was, by his identity provider, when it was made
	Groups []string `json:"groups,omitempty"`
	// the ID of the token that it was made with; it ends with that
	Parent string `json:"parent,omitempty"`

	// What it lets through of what its owner may.
	Bound   bool        `json:"bound,omitempty"` // in Project alone
	Project string      `json:"project,omitempty"`
	Role    Role        `json:"role,omitempty"` // at most; Nobody: as much as he is
	Only    Permissions `json:"only,omitempty"` // at most these; 0: all that the role has
	Source  string      `json:"source,omitempty"`
	Lease   string      `json:"lease,omitempty"` // this lease alone, and it ends with that

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // zero: never, which only a TokenLease may
	Used    time.Time `json:"-"`       // about; zero: not yet
	From    string    `json:"-"`       // where it was used from last
}

// The kinds of tokens.
const (
	TokenOf    = "token"
	Session    = "session"
	TokenLease = "lease"
)

// Hash is what is kept of a token. SHA-256 is enough, and no slow hash is needed: those are for
// passwords, which can be guessed one by one, while a token has 256 random bits, which cannot,
// however fast the hash. It is looked up by the hash, so no comparison of secrets takes time by
// what is in them.
type Hash [sha256.Size]byte

// HashOf hashes a token.
func HashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// Prefix begins our tokens, for those who search files for secrets.
const Prefix = "hst_"

// newSecret makes a token.
func newSecret() string {
	var b [32]byte
	// it never fails, and ends the program rather than being less than random
	_, _ = rand.Read(b[:])
	return Prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// newID makes a name for a token, which tells nothing of it.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// LeasePermissions are what a lease's own token may do with its lease; extend too, if that is
// allowed.
func LeasePermissions(extend bool) Permissions {
	if extend {
		return See | Use | Release | Extend
	}
	return See | Use | Release
}

// Members says what somebody is, as it is configured now: in all projects, and in which. The map
// may be shared and is not to be changed.
type Members func(name string, groups []string) (everywhere Role, roles map[string]Role)

// principal is who comes with a token: its owner, as far as the token goes.
func (t *Token) principal(members Members) Principal {
	p := Principal{
		Name: t.Owner, Via: t.Kind + " " + t.ID, Token: t.ID, Until: t.Expires, Groups: t.Groups, Only: t.Only,
		Bound: t.Bound, Source: t.Source, Lease: t.Lease,
	}
	if t.Kind == TokenLease {
		p.Via = "lease token " + t.ID
	}
	p.Everywhere, p.Roles = members(t.Owner, t.Groups)
	if t.Role != Nobody {
		p.Everywhere = min(p.Everywhere, t.Role)
		roles := make(map[string]Role, len(p.Roles))
		for project, r := range p.Roles {
			roles[project] = min(r, t.Role)
		}
		p.Roles = roles
	}
	if t.Bound {
		p.Roles = map[string]Role{t.Project: p.Role(t.Project)}
		p.Everywhere = Nobody
	}
	return p
}

// Check says what is wrong with a token that somebody wants to make: nobody gives more than he has.
func (k *Ring) Check(maker Principal, t *Token) error {
	members := k.opt.Members
	wrong := func(text string, args ...any) error {
		return &compute.Error{
			Kind: compute.ErrDenied, Err: fmt.Errorf(text, args...),
			Hint: "`hostler token list` shows what the token that you come with may",
		}
	}
	if t.Owner != maker.Name && !maker.Admin() {
		return wrong("only administrators make tokens for others")
	}
	if t.Owner != maker.Name && !maker.Own && k.opt.Reserved != nil && k.opt.Reserved(t.Owner) {
		return wrong("%q is the controller's own user, root or a namespace, and nobody else makes tokens in such a name", t.Owner)
	}
	if maker.Source != "" && t.Source != maker.Source {
		return wrong("the token that you come with is for the source %s alone, so one that you make has to be, too", maker.Source)
	}
	if maker.Only != 0 && (t.Only == 0 || t.Only&^maker.Only != 0) {
		return wrong("the token that you come with has the permissions %v alone, so one that you make has at most these", maker.Only)
	}
	if maker.Token != "" && t.Owner == maker.Name {
		p := t.principal(members)
		if p.Everywhere > maker.Everywhere {
			return wrong("you come with a token that is %v in all projects, so one that you make is not %v", maker.Everywhere, p.Everywhere)
		}
		for project, r := range p.Roles {
			if r > maker.Role(project) {
				return wrong(
					"you come with a token that is %v in the project %q, so one that you make is not %v",
					maker.Role(project), project, r,
				)
			}
		}
	}
	p := t.principal(members)
	if !slices.ContainsFunc(permissionsOf(p), func(what Permission) bool { return what != 0 }) {
		return &compute.Error{
			Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("there is nothing that %q may do and that the token would let through", t.Owner),
			Hint: "see the project, the role and the permissions that it was to have",
		}
	}
	return nil
}

// permissionsOf are what somebody may anywhere.
func permissionsOf(p Principal) (out []Permission) {
	for what := Manage; what.Single(); what <<= 1 {
		if p.Somewhere(what) {
			out = append(out, what)
		}
	}
	return out
}

// Permissions are what somebody may anywhere.
func (p Principal) Permissions() (out Permissions) {
	for _, what := range permissionsOf(p) {
		out |= what
	}
	return out
}
