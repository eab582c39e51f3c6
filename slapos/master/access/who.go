package access

import "github.com/hostler-project/hostler/slapos/record"

// Who is the caller of a request. The zero Who may do nothing.
type Who struct {
	All      bool   // may do everything: an administrator, or callers are not asked for a name
	Computer string // a node: may act on this computer, and on instances there
	User     string // a user: may act on the user's computers and trees
	Project  string // the project of what the user asks for
	Instance string // an instance, by its ID: itself, and what it asks for

	// The rest identifies a caller, also an administrator, and gives no rights.
	Name   string // of the user
	Via    string // proof of identity: "certificate SERIAL", say
	Groups string // of the user, a line each
}

// Anybody is every caller of a master without authentication.
var Anybody = Who{All: true}

// Speaks says whether a caller may speak for a computer: nil, or the refusal.
func (who Who) Speaks(computer string) error {
	if who.All || who.Computer != "" && who.Computer == computer {
		return nil
	}
	return Denied("You may not speak for the computer %s.", computer)
}

// Owns says whether a caller may change a computer and read its content: its node and its owner
// may.
func (who Who) Owns(guid string, c *record.Computer) error {
	if who.User != "" && c != nil && c.Owner == who.User && who.in(c.Project) {
		return nil
	}
	return who.Speaks(guid)
}

// in says whether a caller may touch things of a project. A caller with a project has that alone,
// as its role and its token are for no more.
func (who Who) in(project string) bool { return who.Project == "" || who.Project == project }

// Holds says whether a caller may see and change an instance: the user that asked for its tree, its
// node, itself, or the instance that asked for it or has it as a shared one.
func (who Who) Holds(n *record.Instance) error {
	if who.All || who.User != "" && who.User == n.Owner && who.in(n.Project) || who.Computer != "" && who.Computer == n.Computer ||
		who.Instance != "" && (who.Instance == n.ID || who.Instance == n.Parent || who.Instance == n.Host) {
		return nil
	}
	return Denied("The instance is not yours.") // without its title, which may say much
}

// Administers says whether a caller is an administrator.
func (who Who) Administers() error {
	if !who.All {
		return Denied("Only an administrator may do this.")
	}
	return nil
}
