package compute

import (
	"context"
	"errors"
	"time"
)

// Hold has the other end of a connection keep a command whose caller is not there any more: one
// whose Run ended because contact was lost, which a context says by a cause of kind ErrLost. A Run
// whose context ends in any other way ends the command, as it does without a Hold.
type Hold struct {
	// the run's id, under which it is found again; not that of another one that is held there
	Run string
	// it is kept until it ends, and refused with ErrInvalid where nobody does that; else it ends
	// Grace after contact was lost
	Keep  bool
	Grace time.Duration // 0: 30 seconds; an hour at most
	// start nothing, and go on with the run that is held: of Command the streams, Signals and
	// Resize count. ErrNotFound: there is none
	Attach bool
	// with Attach: only look; what is read, signalled and resized is not passed on, and a context
	// that ends ends nothing
	Look bool
	// with Attach: become the one who types, though another is: who is told ErrLost. Without it
	// ErrConflict
	Take bool
	// with Attach: so many bytes of standard output were had already; -1: not known, all that is
	// kept is wanted
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
	Typed    bool      // somebody is there who may type
	Watchers int       // so many are there in all
	Ended    bool      // how is told to who attaches
}

// A Holder is a Conn whose other end may keep commands that have a Hold, and lists those that it
// keeps, oldest first. ErrInvalid: it keeps none, and why.
type Holder interface {
	Held(ctx context.Context) ([]HeldRun, error)
}

// Detached counts the commands behind a connection that are kept until they end and have not ended.
// There are none where nobody keeps any.
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
