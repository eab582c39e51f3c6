package sshconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/openssh"
)

const maxSSHHops = 8

// dialSSHLink connects and logs in, through jump hosts if the configuration says so. depth counts
// hops, so that a circle ends.
func dialSSHLink(ctx context.Context, o Options, t *openssh.Target, depth int) (*sshLink, error) {
	if depth > maxSSHHops {
		return nil, dialError(t, compute.ErrInvalid, errors.New("ProxyJump goes in a circle"), "")
	}
	below, err := dialJumps(ctx, o, t, depth)
	if err != nil {
		return nil, err
	}
	l, err := dialOver(ctx, o, t, below)
	if err != nil && below != nil {
		below.close()
	}
	return l, err
}

// dialJumps logs in to each jump host through the one before, each by its own configuration.
func dialJumps(ctx context.Context, o Options, t *openssh.Target, depth int) (*sshLink, error) {
	var below *sshLink
	for i, hop := range t.Jump {
		ho := Options{ConfigFile: o.ConfigFile, Timeout: o.Timeout, KeepAlive: o.KeepAlive}
		var port string
		ho.User, ho.Host, port = openssh.SplitDestination(hop)
		ho.Port, _ = strconv.Atoi(port)
		ht, err := openssh.Resolve(ctx, ho.meant())
		var l *sshLink
		if err == nil && i == 0 {
			l, err = dialSSHLink(ctx, ho, ht, depth+1)
		} else if err == nil {
			l, err = dialOver(ctx, ho, ht, below)
		}
		if err != nil {
			if below != nil {
				below.close()
			}
			return nil, fmt.Errorf("jump host %s of %s: %w", hop, t.Alias, err)
		}
		below = l
	}
	return below, nil
}

// dialOver connects over the link below, a proxy command, or the network itself.
func dialOver(ctx context.Context, o Options, t *openssh.Target, below *sshLink) (*sshLink, error) {
	limit := o.Timeout
	if limit == 0 {
		limit = t.Timeout
	}
	if limit == 0 {
		limit = 10 * time.Second
	}
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	explain := func(kind error, err error, hint string) error {
		switch {
		case ctx.Err() != nil:
			return dialError(t, nil, ctx.Err(), "")
		case short.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
			return dialError(t, compute.ErrTimeout, fmt.Errorf("%s port %s %s within %s", t.Host, t.Port, hint, limit), whyHint(t))
		case errors.Is(err, syscall.ETIMEDOUT):
			kind = compute.ErrTimeout
		}
		return dialError(t, kind, err, "")
	}
	raw, err := dialRaw(short, t, below)
	if err != nil {
		return nil, explain(compute.ErrUnavailable, networkReason(t, err), "cannot be reached")
	}

	every := o.KeepAlive
	if every == 0 {
		every = t.AliveEvery
	}
	if every == 0 {
		every = 5 * time.Second
	}
	keys := &openssh.Keys{Target: t}
	defer keys.Close()
	hostKeys := openssh.NewHostKeys(t)
	var refused error
	asked := false
	cfg := &ssh.ClientConfig{
		User: t.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(keys.Signers)},
		HostKeyCallback: func(name string, addr net.Addr, key ssh.PublicKey) error {
			asked = true
			refused = hostKeys.Check(name, addr, key)
			return refused
		},
		HostKeyAlgorithms: hostKeys.Algorithms(),
		ClientVersion:     "SSH-2.0-hostler",
	}
	conn := &activityConn{Conn: raw}
	conn.heard.Store(time.Now().UnixNano())
	stop := context.AfterFunc(short, func() { raw.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, net.JoinHostPort(t.Host, t.Port), cfg)
	if !stop() && err == nil {
		c.Close()
		err = short.Err()
	}
	if err == nil {
		return newSSHLink(ssh.NewClient(c, chans, reqs), conn, below, every, t.AliveCount), nil
	}
	raw.Close()
	var negotiation *ssh.AlgorithmNegotiationError
	var ours *compute.Error
	switch {
	case errors.As(refused, &ours):
		return nil, refused
	case short.Err() != nil:
		return nil, explain(nil, nil, "does not answer as an ssh server does")
	case asked && strings.Contains(err.Error(), "unable to authenticate"):
		return nil, dialError(
			t, compute.ErrDenied, fmt.Errorf("%s refuses to let %s in by any key that there is", t.Host, t.User),
			keys.Why(),
		)
	case errors.As(err, &negotiation):
		return nil, dialError(t, compute.ErrFailed, fmt.Errorf("no algorithm in common: %w", err), "")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, dialError(
			t, compute.ErrUnavailable,
			fmt.Errorf("%s port %s closed the connection before the log-in%s", t.Host, t.Port, openssh.ProxyComplaint(raw)), "",
		)
	}
	return nil, dialError(t, compute.ErrUnavailable, err, "")
}

// dialRaw connects to the target through the link below, by its ProxyCommand, or directly.
func dialRaw(ctx context.Context, t *openssh.Target, below *sshLink) (net.Conn, error) {
	addr := net.JoinHostPort(t.Host, t.Port)
	switch {
	case below != nil:
		c, err := await(ctx, below.gone, func() (net.Conn, error) { return below.client.Dial("tcp", addr) }, func(c net.Conn) { c.Close() })
		return c, err
	case t.ProxyCommand != "":
		return openssh.StartProxy(t.ProxyCommand)
	}
	d := net.Dialer{KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, "tcp", addr)
}

// networkReason puts what the network said into plain words.
func networkReason(t *openssh.Target, err error) error {
	var dns *net.DNSError
	var refused *ssh.OpenChannelError
	at := t.Host + " port " + t.Port
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("the name %s does not resolve", t.Host)
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s cannot be looked up: %w", t.Host, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused", at)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Errorf("%s: there is no way to it: %w", at, err)
	case errors.Is(err, syscall.ETIMEDOUT):
		return fmt.Errorf("%s: the network's own time for connecting ran out: %w", at, err)
	case errors.As(err, &refused):
		return fmt.Errorf("the jump host cannot connect to %s: %s", at, refused.Message)
	}
	return err
}

// whyHint leads to the program that tells each step of a connection.
func whyHint(t *openssh.Target) string {
	command := "ssh -v "
	if t.Alias == t.Host && t.Port != "22" { // otherwise the user's configuration may have the port
		command += "-p " + t.Port + " "
	}
	return "`" + command + t.Alias + "` shows why"
}

func dialError(t *openssh.Target, kind, err error, hint string) error {
	return &compute.Error{Op: "ssh.Dial", ID: compute.ID(t.Alias), Kind: kind, Err: err, Hint: hint}
}
