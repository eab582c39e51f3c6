package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
)

// A Refusal is a master's reason not to do something. It has a kind, by which each front end finds
// its status, the reference's words, or else ours, and further detail.
type Refusal struct {
	// compute.ErrNotFound, ErrNoCapacity, ErrInvalid, ErrDenied, ErrConflict or client.ErrNotReady
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

// Denied refuses a caller that lacks a right.
func Denied(format string, args ...any) error { return Refuse(compute.ErrDenied, format, args...) }

// UnknownComputer is the message about a computer that was never formatted.
func UnknownComputer(guid string) error {
	return Refuse(compute.ErrNotFound, "%s is not registered.", guid)
}

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
