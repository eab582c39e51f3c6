package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// A command may be cut short because its computer died, its lease ended or contact was lost. Two
// sides know of that. err is what the connection said; cause is what the engine said of the lease,
// or nil.

// InstanceDied reports whether the computer itself died. If the lease ended first, that is the
// reason instead.
func InstanceDied(err, cause error) bool {
	if cause != nil {
		return errors.Is(cause, compute.ErrEnded)
	}
	return errors.Is(err, compute.ErrEnded)
}

// PreferLeaseEnd returns the end of the lease in place of err, if err says that the computer
// died and its lease had ended before. The end of a lease removes the computer, so the
// connection then only shows that it is gone.
func (s *Session) PreferLeaseEnd(ctx context.Context, err error) error {
	if !errors.Is(err, compute.ErrEnded) {
		return err
	}
	if cause := s.LeaseEnd(ctx); !InstanceDied(err, cause) {
		return cause
	}
	return err
}

// LeaseEnded reports whether the lease has ended.
func LeaseEnded(err, cause error) bool {
	return errors.Is(cause, ErrLeaseEnded) || errors.Is(err, compute.ErrLost) && errors.Is(err, compute.ErrNotLeased)
}

// LostContact makes the error that contact was lost while a command ran, and why. The connection's
// own words come first, since a provider knows more than the lease.
func LostContact(id compute.ID, err, cause error) error {
	why := err
	if !errors.Is(err, compute.ErrEnded) && errors.Is(cause, compute.ErrEnded) {
		why = cause
	}
	text := api.Text(why)
	for was := ""; text != was; { // what is said here, and again within
		was = text
		for _, known := range []string{string(id), compute.ErrLost.Error(), compute.ErrNotLeased.Error(), ErrLeaseEnded.Error()} {
			text = strings.TrimPrefix(text, known+": ")
		}
	}
	said := fmt.Errorf("%w while the command ran: %s", compute.ErrLost, text)
	if text == compute.ErrLost.Error() {
		said = fmt.Errorf("%w while the command ran", compute.ErrLost)
	}
	if errors.Is(why, compute.ErrEnded) {
		said = compute.Ended(said)
	}
	return &compute.Error{ID: id, Kind: compute.ErrLost, Err: said, Hint: compute.Hint(why)}
}
