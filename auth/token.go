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

// Token is the record of a token: everything but the token's text, which is only kept as a hash.
type Token struct {
	ID   string `json:"id"`
	Hash Hash   `json:"-"`
	// TokenOf, Session or TokenLease
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"` // what it is for, in the maker's words
	Owner string `json:"owner"`          // the user that a caller with this token is
	// the owner's groups at the identity provider when it was made
	Groups []string `json:"groups,omitempty"`
	// the ID of the token that it was made with; it ends with that one
	Parent string `json:"parent,omitempty"`

	// Limits on what the owner may do with it.
	Bound   bool        `json:"bound,omitempty"` // only in Project
	Project string      `json:"project,omitempty"`
	Role    Role        `json:"role,omitempty"` // at most this role; Nobody: the owner's own
	Only    Permissions `json:"only,omitempty"` // at most these permissions; 0: all of the role
	Source  string      `json:"source,omitempty"`
	Lease   string      `json:"lease,omitempty"` // only this lease, and the token ends with it

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // zero: never, which only a TokenLease may have
	Used    time.Time `json:"-"`       // last use, to within 10 minutes; zero: not used yet
	From    string    `json:"-"`       // the address of the last use
}

// The kinds of tokens: made by a user or program, opened by a sign-in, and made for one lease.
const (
	TokenOf    = "token"
	Session    = "session"
	TokenLease = "lease"
)

// Hash is the SHA-256 of a token's text. A slow hash is not needed: it protects passwords, which
// can be guessed. A token has 256 random bits, which cannot. Tokens are looked up by their hash, so
// no comparison leaks a secret by its timing.
type Hash [sha256.Size]byte

// hashOf hashes the text of a token.
func hashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// Prefix begins every token's text, so that scanners for leaked secrets recognize it.
const Prefix = "hst_"

// newSecret makes the text of a token.
func newSecret() string {
	var b [32]byte
	// rand.Read never fails: it ends the program instead
	_, _ = rand.Read(b[:])
	return Prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// newID makes a random ID for a token.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// LeasePermissions returns what a lease's own token may do with its lease; extend adds Extend.
func LeasePermissions(extend bool) Permissions {
	if extend {
		return See | Use | Release | Extend
	}
	return See | Use | Release
}

// Members returns the roles of a user as configured now: in all projects, and by project. The map
// may be shared and must not be changed.
type Members func(name string, groups []string) (everywhere Role, roles map[string]Role)

// principal returns the caller that presents a token: its owner, within the token's limits.
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

// Check returns why maker may not make a token, or nil: a token never grants more than its maker
// has.
func (k *TokenRegistry) Check(maker Principal, t *Token) error {
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

// permissionsOf returns the permissions that a principal has in at least one project.
func permissionsOf(p Principal) (out []Permission) {
	for what := Manage; what.Single(); what <<= 1 {
		if p.Somewhere(what) {
			out = append(out, what)
		}
	}
	return out
}

// Permissions returns the permissions that the principal has in at least one project.
func (p Principal) Permissions() (out Permissions) {
	for _, what := range permissionsOf(p) {
		out |= what
	}
	return out
}
