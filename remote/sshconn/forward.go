package sshconn

import (
	"context"
	"errors"
	"net"

	"github.com/hostler-project/hostler/compute"
)

// Dial connects from the host: "tcp" with HOST:PORT, "unix" with a path. The connection ends with
// the one that it goes through.
func (s *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := s.network("ssh.Dial", network); err != nil {
		return nil, err
	}
	l, err := s.anyLink(ctx)
	if err != nil {
		return nil, err
	}
	c, err := await(ctx, l.gone, func() (net.Conn, error) { return l.client.Dial(network, address) }, func(c net.Conn) { c.Close() })
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case l.lost():
		return nil, s.fail("ssh.Dial", compute.ErrLost, err)
	}
	return nil, s.fail("ssh.Dial", compute.ErrUnavailable, err)
}

// Listen announces on the host; the host's sshd_config says which addresses may be had. The
// listener ends with the connection.
func (s *Conn) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if err := s.network("ssh.Listen", network); err != nil {
		return nil, err
	}
	l, err := s.anyLink(ctx)
	if err != nil {
		return nil, err
	}
	ln, err := await(
		ctx, l.gone, func() (net.Listener, error) { return l.client.Listen(network, address) },
		func(n net.Listener) { n.Close() },
	)
	switch {
	case err == nil:
		return ln, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case l.lost():
		return nil, s.fail("ssh.Listen", compute.ErrLost, err)
	}
	return nil, s.fail("ssh.Listen", compute.ErrConflict, err)
}

// network refuses a closed connection and any network but tcp and unix.
func (s *Conn) network(op, network string) error {
	if s.isClosed() {
		return errClosed(op)
	}
	if network != "tcp" && network != "unix" {
		return s.fail(op, compute.ErrInvalid, errors.New("no such network: "+network))
	}
	return nil
}
