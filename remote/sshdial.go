package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

const maxSSHHops = 8

// dialSSHLink connects and logs in, through jump hosts if the configuration says so. depth counts hops, so that a circle ends.
func dialSSHLink(ctx context.Context, o SSHOptions, t *sshTarget, depth int) (*sshLink, error) {
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
func dialJumps(ctx context.Context, o SSHOptions, t *sshTarget, depth int) (*sshLink, error) {
	var below *sshLink
	for i, hop := range t.jump {
		ho := SSHOptions{ConfigFile: o.ConfigFile, Timeout: o.Timeout, KeepAlive: o.KeepAlive}
		var port string
		ho.User, ho.Host, port = splitDestination(hop)
		ho.Port, _ = strconv.Atoi(port)
		ht, err := resolveSSH(ctx, ho)
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
			return nil, fmt.Errorf("jump host %s of %s: %w", hop, t.alias, err)
		}
		below = l
	}
	return below, nil
}

// dialOver connects over the link below, a proxy command, or the network itself.
func dialOver(ctx context.Context, o SSHOptions, t *sshTarget, below *sshLink) (*sshLink, error) {
	limit := o.Timeout
	if limit == 0 {
		limit = t.timeout
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
			return dialError(t, compute.ErrTimeout, fmt.Errorf("%s port %s %s within %s", t.host, t.port, hint, limit), "")
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
		every = t.aliveEvery
	}
	if every == 0 {
		every = 5 * time.Second
	}
	keys := &sshKeys{t: t}
	defer keys.close()
	hostKeys := newSSHHostKeys(t)
	var refused error
	asked := false
	cfg := &ssh.ClientConfig{
		User: t.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(keys.signers)},
		HostKeyCallback: func(name string, addr net.Addr, key ssh.PublicKey) error {
			asked = true
			refused = hostKeys.check(name, addr, key)
			return refused
		},
		HostKeyAlgorithms: hostKeys.algorithms(),
		ClientVersion:     "SSH-2.0-hostler",
	}
	conn := &heardConn{Conn: raw}
	conn.heard.Store(time.Now().UnixNano())
	stop := context.AfterFunc(short, func() { raw.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, net.JoinHostPort(t.host, t.port), cfg)
	if !stop() && err == nil {
		c.Close()
		err = short.Err()
	}
	if err == nil {
		return newSSHLink(ssh.NewClient(c, chans, reqs), conn, below, every, t.aliveCount), nil
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
		return nil, dialError(t, compute.ErrDenied, fmt.Errorf("%s refuses to let %s in by any key that there is", t.host, t.user), keys.why())
	case errors.As(err, &negotiation):
		return nil, dialError(t, compute.ErrFailed, fmt.Errorf("no algorithm in common: %w", err), "")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, dialError(t, compute.ErrUnavailable, fmt.Errorf("%s port %s closed the connection before the log-in%s", t.host, t.port, said(raw)), "")
	}
	return nil, dialError(t, compute.ErrUnavailable, err, "")
}

func dialRaw(ctx context.Context, t *sshTarget, below *sshLink) (net.Conn, error) {
	addr := net.JoinHostPort(t.host, t.port)
	switch {
	case below != nil:
		c, err := await(ctx, below.gone, func() (net.Conn, error) { return below.client.Dial("tcp", addr) }, func(c net.Conn) { c.Close() })
		return c, err
	case t.proxyCommand != "":
		return startProxy(t.proxyCommand)
	}
	d := net.Dialer{KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, "tcp", addr)
}

// networkReason puts what the network said into plain words.
func networkReason(t *sshTarget, err error) error {
	var dns *net.DNSError
	var refused *ssh.OpenChannelError
	at := t.host + " port " + t.port
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("the name %s does not resolve", t.host)
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s cannot be looked up: %w", t.host, err)
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

func dialError(t *sshTarget, kind, err error, hint string) error {
	return &compute.Error{Op: "ssh.Dial", ID: compute.ID(t.alias), Kind: kind, Err: err, Hint: hint}
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if n := len(t.kept); n > tailSize {
		t.kept = append([]byte(nil), t.kept[n-tailSize:]...)
	}
	return len(b), nil
}

// lastLine is the last line that is not blank.
func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// text is all that was kept, in one line.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.FieldsFunc(string(t.kept), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
