package auth

import (
	"fmt"
	"math/bits"
	"strings"
)

// Permission is one kind of thing that may be done through a controller; Permissions are several.
// Each route of the API needs one.
type (
	Permission  uint32
	Permissions = Permission // any of them, joined by |
)

// The permissions. All but the first three are somebody's in a project, and reach as far as that
// project's leases, queue and events.
const (
	Anyone Permission = 1 << iota // needs nobody: the route is open to strangers
	Known                         // needs somebody whom the controller knows, whatever he may do
	// act on the controller and on what all projects have: fill and test sources, have work done,
	// reload
	Manage
	Meter   // read figures of the whole controller, such as metrics
	See     // look at sources, instances, leases, the queue and events
	Take    // take leases, and give up one's own requests for them
	Use     // work on an instance under one's own lease
	Extend  // keep one's own lease longer
	Release // give one's own lease back, or have its instance held
	Tokens  // make, list and revoke tokens of one's own
	Others  // do all that with what others have; and hold and discard
	Audit   // read the audit log
	all     = 1<<iota - 1
)

var permissionNames = [...]string{
	"anyone", "known", "manage", "meter", "see", "take", "use", "extend", "release", "tokens", "others", "audit",
}

// String names permissions, divided by commas.
func (p Permission) String() string {
	var out []string
	for i, name := range permissionNames {
		if p&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

// AllPermissions are those that a token may be limited to.
func AllPermissions() Permissions { return all &^ (Anyone | Known) }

// Single reports whether p is one permission that there is.
func (p Permission) Single() bool { return bits.OnesCount32(uint32(p)) == 1 && p&all == p }

// ParsePermissions reads names of permissions. Those that are nobody's to give, such as anyone, are
// none.
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

// Role is what somebody is, in a project or in all of them. Each may do what the ones before it
// may, and more.
type Role int

// The roles.
const (
	Nobody Role = iota
	Viewer
	User
	Operator
	Administrator
)

// grants is what each role may do beyond the one before it: the one table of who may what.
var grants = [...]Permissions{
	Nobody:        0,
	Viewer:        See,
	User:          Take | Use | Extend | Release | Tokens,
	Operator:      Others | Audit,
	Administrator: Manage,
}

var roleNames = [...]string{"nobody", "viewer", "user", "operator", "admin"}

// Permissions are what the role may do in its project.
func (r Role) Permissions() (out Permissions) {
	for i := Nobody; i <= r && i <= Administrator; i++ {
		out |= grants[i]
	}
	return out
}

// String is the role's name.
func (r Role) String() string {
	if r < Nobody || r > Administrator {
		return fmt.Sprintf("Role(%d)", int(r))
	}
	return roleNames[r]
}

// ParseRole reads the name of a role.
func ParseRole(name string) (Role, error) {
	for r := Viewer; r <= Administrator; r++ {
		if roleNames[r] == name {
			return r, nil
		}
	}
	return Nobody, fmt.Errorf("%q is no role: they are %s", name, strings.Join(roleNames[1:], ", "))
}

// MarshalText is String, for the API's own description.
func (p Permission) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Permission) UnmarshalText(text []byte) (err error) {
	*p = 0
	if len(text) > 0 {
		*p, err = ParsePermissions(strings.Split(string(text), ",")...)
	}
	return err
}

// MarshalText is String.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Role) UnmarshalText(text []byte) (err error) {
	*r = Nobody
	if s := string(text); s != "" && s != roleNames[Nobody] {
		*r, err = ParseRole(s)
	}
	return err
}
