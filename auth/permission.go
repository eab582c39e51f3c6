package auth

import (
	"fmt"
	"math/bits"
	"strings"
)

// Permission is one kind of action on a controller; Permissions is a set of them. Each route of the
// API needs one Permission.
type (
	Permission  uint32
	Permissions = Permission // any of them, joined by |
)

// The permissions. Except for the first three, a principal has a permission in a project. It covers
// the leases, queue and events of that project.
const (
	Anyone Permission = 1 << iota // the route is open to everybody
	Known                         // the caller must be known, whatever its role
	// act on the controller and on what projects share: fill and test sources, start work, reload
	Manage
	Meter   // read figures of the whole controller, such as metrics
	See     // look at sources, instances, leases, the queue and events
	Take    // take leases, and cancel one's own requests for them
	Use     // work on an instance under one's own lease
	Extend  // extend one's own lease
	Release // release one's own lease, or have its instance held
	Tokens  // make, list and revoke one's own tokens
	Others  // act on what other users have, and hold and discard instances
	Audit   // read the audit log
	all     = 1<<iota - 1
)

var permissionNames = [...]string{
	"anyone", "known", "manage", "meter", "see", "take", "use", "extend", "release", "tokens", "others", "audit",
}

// String returns the names of the permissions, separated by commas.
func (p Permission) String() string {
	var out []string
	for i, name := range permissionNames {
		if p&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

// AllPermissions returns every permission that a token may be limited to.
func AllPermissions() Permissions { return all &^ (Anyone | Known) }

// Single reports whether p is exactly one known permission.
func (p Permission) Single() bool { return bits.OnesCount32(uint32(p)) == 1 && p&all == p }

// ParsePermissions reads names of permissions. "anyone" and "known" are refused, as nobody can
// grant them.
func ParsePermissions(names ...string) (out Permissions, err error) {
next:
	for _, given := range names {
		for i, name := range permissionNames {
			if p := Permission(1 << i); name == given && p&^(Anyone|Known) != 0 {
				out |= p
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no permission: they are %s", given, strings.Join(permissionNames[2:], ", "))
	}
	return out, nil
}

// Role is what a user is in a project, or in all of them. A role includes the permissions of all
// roles below it. The zero Role is Nobody.
type Role int

// The roles.
const (
	Nobody Role = iota
	Viewer
	User
	Operator
	Administrator
)

// grants holds the permissions that each role adds to the role below it.
var grants = [...]Permissions{
	Nobody:        0,
	Viewer:        See,
	User:          Take | Use | Extend | Release | Tokens,
	Operator:      Others | Audit,
	Administrator: Manage,
}

var roleNames = [...]string{"nobody", "viewer", "user", "operator", "admin"}

// Permissions returns what the role may do in its project.
func (r Role) Permissions() (out Permissions) {
	for i := Nobody; i <= r && i <= Administrator; i++ {
		out |= grants[i]
	}
	return out
}

// String returns the role's name.
func (r Role) String() string {
	if r < Nobody || r > Administrator {
		return fmt.Sprintf("Role(%d)", int(r))
	}
	return roleNames[r]
}

// ParseRole reads the name of a role; "nobody" is refused.
func ParseRole(name string) (Role, error) {
	for r := Viewer; r <= Administrator; r++ {
		if roleNames[r] == name {
			return r, nil
		}
	}
	return Nobody, fmt.Errorf("%q is no role: they are %s", name, strings.Join(roleNames[1:], ", "))
}

// MarshalText returns String, for the API's description.
func (p Permission) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Permission) UnmarshalText(text []byte) (err error) {
	*p = 0
	if len(text) > 0 {
		*p, err = ParsePermissions(strings.Split(string(text), ",")...)
	}
	return err
}

// MarshalText returns String.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Role) UnmarshalText(text []byte) (err error) {
	*r = Nobody
	if s := string(text); s != "" && s != roleNames[Nobody] {
		*r, err = ParseRole(s)
	}
	return err
}
