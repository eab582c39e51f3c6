package compute

import (
	"context"
	"errors"
	"time"
)

// Hold has the other end of a connection keep a command after contact with its caller was lost.
// That is when Run ended because contact was lost, or its context ended with a cause of kind
// ErrLost. If the context ends in any other way, the command ends, as it does without a Hold.
type Hold struct {
	// the run's id, by which it is found again; unique among the runs held there
	Run string
	// the command is kept until it ends; ErrInvalid where no command can be kept. Else it ends
	// Grace after contact was lost.
	Keep  bool
	Grace time.Duration // 0: 30 seconds; an hour at most
	// start nothing, and go on with the run that is held. Of Command only the streams, Signals and
	// Resize count. ErrNotFound: there is no such run
	Attach bool
	// with Attach: only watch. Input, signals and sizes are not passed on, and the end of the
	// context ends nothing
	Look bool
	// with Attach: take over the input from another caller, which gets ErrLost. Without it that is
	// ErrConflict
	Take bool
	// with Attach: how many bytes of standard output the caller has already; -1: not known, send
	// all that is kept
	Out   int64
	Err   int64  // the same of standard error
	Begun func() // called once when the command was started, not with Attach; may be nil
}

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

// A Holder is a Conn whose other end may keep commands that have a Hold. Held lists those it keeps,
// oldest first. ErrInvalid: it keeps none, with the reason.
type Holder interface {
	Held(ctx context.Context) ([]HeldRun, error)
}

// Detached counts the commands behind a connection that are kept until they end and have not ended.
// It is 0 if conn is no Holder or keeps none.
func Detached(ctx context.Context, conn Conn) (n int, err error) {
	h, ok := As[Holder](conn)
	if !ok {
		return 0, nil
	}
	all, err := h.Held(ctx)
	if errors.Is(err, ErrInvalid) {
		return 0, nil
	}
	for _, one := range all {
		if one.Keep && !one.Ended {
			n++
		}
	}
	return n, err
}
