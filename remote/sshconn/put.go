package sshconn

import (
	"context"
	"errors"
	"io"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/files"
)

// Put unpacks a tar stream into dir, which is relative to the log-in directory. See compute.Conn,
// and files.Put for what keeps it within dir.
//
// It works over SFTP, else with one sh for each file. Times are whole seconds over SFTP, and links
// keep the time of their making.
func (s *Conn) Put(ctx context.Context, dir string, stream io.Reader) error {
	if s.isClosed() {
		return errClosed("ssh.Put")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	far, err := s.openFar(ctx)
	if err != nil {
		return s.fileError(ctx, "ssh.Put", err)
	}
	defer far.Close()
	return s.fileError(ctx, "ssh.Put", files.Put(ctx, far, dir, stream, func(err error) bool { return errors.Is(err, errLinkLost) }))
}

// fileError gives an error of copying its kind.
func (s *Conn) fileError(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errLinkLost), len(s.alive()) == 0:
		return s.fail(op, compute.ErrLost, err)
	}
	return files.Fault(op, err)
}
