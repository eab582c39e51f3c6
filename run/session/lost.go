package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// A command may end because its computer has, because its lease has, or because contact was lost.
// What is known of that comes from two sides: err is what the connection said, and cause what the
// engine says of the lease, nil where it lives or was not asked.

// HasFallen reports whether the computer itself has ended. Where the lease was ended first, by
// whoever, it is the lease's end that counts.
func HasFallen(err, cause error) bool {
	if cause != nil {
		return errors.Is(cause, compute.ErrEnded)
	}
	return errors.Is(err, compute.ErrEnded)
}

// WhatEnded asks, where err says that the computer has ended, whether its lease had ended before,
// and returns that then. The end of a lease takes the computer away, and where another process
// ended it, a provider here says only that somebody has.
func (s *Session) WhatEnded(ctx context.Context, err error) error {
	if !errors.Is(err, compute.ErrEnded) {
		return err
	}
	if cause := s.Over(ctx); !HasFallen(err, cause) {
		return cause
	}
	return err
}

// IsLeaseOver reports whether the lease has ended.
func IsLeaseOver(err, cause error) bool {
	return errors.Is(cause, ErrLeaseEnded) || errors.Is(err, compute.ErrLost) && errors.Is(err, compute.ErrNotLeased)
}

// LostWhile says for people that contact was lost while a command ran, and why. The connection's
// own words come first: a provider knows more than the lease.
func LostWhile(id compute.ID, err, cause error) error {
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
