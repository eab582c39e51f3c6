package master

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// A Refusal is a master's reason not to do something. It has a kind, by which each front end finds
// its status, the reference's words, or else ours, and further detail.
type Refusal struct {
	// compute.ErrNotFound, ErrNoCapacity, ErrInvalid, ErrDenied, ErrConflict or proto.ErrNotReady
	Kind   error
	Text   string
	Detail string
}

func (r *Refusal) Error() string { return "slap: " + r.Reason() }

// Unwrap gives the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// Reason is the whole text for people.
func (r *Refusal) Reason() string {
	if r.Detail == "" {
		return r.Text
	}
	return r.Text + " (" + r.Detail + ")"
}

// Refuse is a Refusal of a kind.
func Refuse(kind error, format string, args ...any) error {
	return &Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Invalid refuses a malformed request.
func Invalid(format string, args ...any) error { return Refuse(compute.ErrInvalid, format, args...) }

// NoSuchEndpoint is the message for an unknown endpoint.
const NoSuchEndpoint = "The requested URL was not found on the server. " +
	"If you entered the URL manually please check your spelling and try again."

// Malformed turns the error of a document that cannot be read, or a value that cannot be written,
// into a refusal.
func Malformed(err error) error {
	if err == nil || !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrUnwritable) {
		return err
	}
	return Refuse(compute.ErrInvalid, "%s", strings.TrimPrefix(err.Error(), "slap: "))
}

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

// Denied refuses a caller that lacks a right.
func Denied(format string, args ...any) error { return Refuse(compute.ErrDenied, format, args...) }

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
