package provider

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// HeldRun is a run that is kept at the other end of a connection.
type HeldRun struct {
	Run      string
	Started  time.Time // by that computer's clock
	Keep     bool      // it stays until it ends
	TTY      bool      // it has a terminal
	Stdin    bool      // it reads
	Typed    bool      // a caller with the input is attached
	Watchers int       // how many callers are attached in all
	Ended    bool      // it has ended; a caller that attaches learns how
}

// A DetachedRuns is a Conn whose other end may keep commands that have a Hold. Held lists those
// it keeps, oldest first. ErrInvalid: it keeps none, with the reason.
type DetachedRuns interface {
	Held(ctx context.Context) ([]HeldRun, error)
}

// Detached counts the commands behind a connection that are kept until they end and have not ended.
// It is 0 if conn is no DetachedRuns or keeps none.
func Detached(ctx context.Context, conn compute.Conn) (n int, err error) {
	h, ok := As[DetachedRuns](conn)
	if !ok {
		return 0, nil
	}
	all, err := h.Held(ctx)
	if errors.Is(err, compute.ErrInvalid) {
		return 0, nil
	}
	for _, one := range all {
		if one.Keep && !one.Ended {
			n++
		}
	}
	return n, err
}
