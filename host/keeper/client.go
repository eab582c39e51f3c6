package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// What a client may find instead of its keeper. Both are wrapped in a *compute.Error of kind
// ErrUnavailable; nothing was done.
var (
	ErrNone  = errors.New("no keeper is running")
	ErrOther = errors.New("the keeper is of another build of hostler")
)

// Request says what a client wants a connection for.
type Request struct {
	Build    string      // the client's build of hostler; "": any keeper will do
	Who      compute.Who // the user or lease that the client acts for
	Instance compute.ID
	// the lease's generation; the keeper returns ErrStale if the store has another; 0: not known
	Generation int64
}

func none(err error) error {
	return &compute.Error{Op: "keeper", Kind: compute.ErrUnavailable, Err: errors.Join(ErrNone, err)}
}

// Dial asks the keeper at socket for a connection into an instance, and returns when it is open.
// The keeper opens one if it has none. The error is one of:
//
//   - ErrNone or ErrOther,
//   - what the store said: ErrNotLeased, ErrStale, ErrDenied, ...
//   - why the connection could not be opened,
//   - ErrTimeout if the keeper hangs.
//
// The connection is a Dialer and a Listener if the keeper's is. Close ends what runs through it;
// the keeper's own connection stays open.
func Dial(ctx context.Context, socket string, req Request) (compute.Conn, error) {
	c, _, err := ask(
		ctx, socket,
		request{Build: req.Build, Verb: verbConnect, Who: req.Who, Instance: req.Instance, Generation: req.Generation},
	)
	if err != nil {
		return nil, err
	}
	return agent.New(c), nil
}

// ring tells the keeper that something was released, and does not wait for the work. The error is
// ErrNone if no keeper runs; a keeper looks for work when it starts.
func ring(ctx context.Context, socket, build string) error {
	return tell(ctx, socket, request{Build: build, Verb: verbBell})
}

// Stop tells the keeper to end when nothing runs through it any more. It returns when another may
// take its place. ErrNone: there is none.
func Stop(ctx context.Context, socket string) error {
	err := tell(ctx, socket, request{Verb: verbStop})
	if errors.Is(err, ErrOther) {
		return nil // another version answered; all versions know this verb
	}
	return err
}

// Ask returns what the keeper says about itself. ErrNone: there is none.
func Ask(ctx context.Context, socket string) (Status, error) {
	c, a, err := ask(ctx, socket, request{Verb: verbStatus})
	if err != nil {
		return Status{}, err
	}
	c.Close()
	var st Status
	if err := json.Unmarshal(a.Status, &st); err != nil {
		return Status{}, &compute.Error{Op: "keeper", Kind: compute.ErrUnavailable, Err: fmt.Errorf("it does not say how it is: %w", err)}
	}
	return st, nil
}

// tell sends a request and needs only its success.
func tell(ctx context.Context, socket string, req request) error {
	c, _, err := ask(ctx, socket, req)
	if err == nil {
		c.Close()
	}
	return err
}

// ask sends a request and returns the answer, with the connection for what follows.
func ask(ctx context.Context, socket string, req request) (net.Conn, *answer, error) {
	if err := checkDir(socket, false); err != nil {
		return nil, nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, nil, none(err)
		}
		return nil, nil, &compute.Error{Op: "keeper", Kind: compute.ErrUnavailable, Err: err}
	}
	a, err := exchange(ctx, nc.(*net.UnixConn), req)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, a, nil
}

// exchange sends a request and reads answers until one is final.
func exchange(ctx context.Context, c *net.UnixConn, req request) (*answer, error) {
	if err := trusted(c); err != nil {
		return nil, err
	}
	over := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	req.Version = version
	a := answer{Wait: true}
	err := writeFrame(c, &req)
	for err == nil && a.Wait && !a.Other {
		c.SetReadDeadline(time.Now().Add(answerTime))
		if err = ctx.Err(); err == nil { // otherwise the deadline was set too late
			err = readFrame(c, &a)
		}
	}
	if !over() {
		return nil, ctx.Err()
	}
	c.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, none(err) // it ended at that moment, and did nothing
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &compute.Error{Op: "keeper", Kind: compute.ErrTimeout, Err: errors.New("the keeper does not answer"),
			Hint: "end it; nothing is lost but what runs through it"}
	case err != nil:
		return nil, &compute.Error{Op: "keeper", Kind: compute.ErrUnavailable, Err: err}
	case a.Other:
		return nil, &compute.Error{Op: "keeper", Kind: compute.ErrUnavailable, Err: ErrOther}
	}
	return &a, a.err()
}
