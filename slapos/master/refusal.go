package master

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// A Refusal is why a master does not do what it was asked: its kind, by which each front end finds
// its status, the words that the reference has for it, or ours where it has none, and what more
// there is to say.
type Refusal struct {
	// compute.ErrNotFound, ErrNoCapacity, ErrInvalid, ErrDenied, ErrConflict or proto.ErrNotReady
	Kind   error
	Text   string
	Detail string
}

func (r *Refusal) Error() string { return "slap: " + r.Reason() }

// Unwrap gives the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// Reason is all that there is to say to people.
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

// Invalid refuses what is asked wrongly.
func Invalid(format string, args ...any) error { return Refuse(compute.ErrInvalid, format, args...) }

// NoSuchEndpoint is what is said of an endpoint that is not there.
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

// Who asks. The zero Who may do nothing.
type Who struct {
	All      bool   // everything: there is no telling who it is, or it is the administrator
	Computer string // a node: what is about this computer, and about what runs on it
	User     string // a user: computers and trees of his own
	Project  string // that what he asks for belongs to
	Instance string // an instance, by its ID: itself, and what it asks for

	// What follows says who it is, where he may do everything too, and gives him nothing.
	Name   string // of the user
	Via    string // how he is known: "certificate SERIAL", say
	Groups string // in which the user is, a line each
}

// Anybody is who asks a master that asks nobody who he is.
var Anybody = Who{All: true}

// Denied refuses who may not.
func Denied(format string, args ...any) error { return Refuse(compute.ErrDenied, format, args...) }

// Speaks says whether somebody may speak for a computer.
func (who Who) Speaks(computer string) error {
	if who.All || who.Computer != "" && who.Computer == computer {
		return nil
	}
	return Denied("You may not speak for the computer %s.", computer)
}

// Owns says whether somebody may change a computer, or read what is on it: its node, or whose it
// is.
func (who Who) Owns(guid string, c *record.Computer) error {
	if who.User != "" && c != nil && c.Owner == who.User && who.in(c.Project) {
		return nil
	}
	return who.Speaks(guid)
}

// in says whether somebody may touch what is of a project: who comes for one has what is of that
// alone, as his role and his token are for no more.
func (who Who) in(project string) bool { return who.Project == "" || who.Project == project }

// Holds says whether somebody may see and change an instance: the user who asked for its tree, a
// node that it is on, itself, or the instance that asked for it or has it as a shared one.
func (who Who) Holds(n *record.Instance) error {
	if who.All || who.User != "" && who.User == n.Owner && who.in(n.Project) || who.Computer != "" && who.Computer == n.Computer ||
		who.Instance != "" && (who.Instance == n.ID || who.Instance == n.Parent || who.Instance == n.Host) {
		return nil
	}
	return Denied("The instance is not yours.") // without its title, which may say much
}
