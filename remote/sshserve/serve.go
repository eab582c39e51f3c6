package sshserve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// Options say what is served.
type Options struct {
	Conn compute.Conn // required; it stays open
	Key  ssh.Signer   // the host's; required
	// a login by this name gets the connection's own user; another name is that of a user there
	User string
	Env  map[string]string // of commands, beside what the client sends

	// public keys of which a client must prove one, for streams with unknown clients; nil: the
	// client that has the stream is let in
	Keys []ssh.PublicKey
	Log  *slog.Logger // nil: none
}

// patience is how long a client may take to shake hands.
const patience = time.Minute

// server serves one client.
type server struct {
	opt  Options
	conn *ssh.ServerConn
	ctx  context.Context
	all  sync.WaitGroup

	mu        sync.Mutex
	listeners map[string]net.Listener // those that the client asked for, by what it calls them
}

// Serve serves one client on a stream until it hangs up, which is no error, or ctx ends. It closes
// the stream, and returns when what ran has ended.
func Serve(ctx context.Context, stream io.ReadWriteCloser, opt Options) error {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	cfg := &ssh.ServerConfig{NoClientAuth: true, ServerVersion: "SSH-2.0-hostler"}
	if opt.Keys != nil {
		cfg.NoClientAuth, cfg.PublicKeyCallback = false, func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if slices.ContainsFunc(opt.Keys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }) {
				return nil, nil
			}
			return nil, errors.New("not a key of those who may log in")
		}
	}
	cfg.AddHostKey(opt.Key)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	late := time.AfterFunc(patience, func() { _ = stream.Close() })
	conn, channels, requests, err := ssh.NewServerConn(streamConn{stream}, cfg)
	late.Stop()
	if err != nil {
		_ = stream.Close()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &compute.Error{Op: "sshserve", Kind: compute.ErrInvalid, Err: err, Hint: "it is for the program ssh, as its ProxyCommand"}
	}
	s := &server{opt: opt, conn: conn, ctx: ctx, listeners: map[string]net.Listener{}}
	s.all.Go(func() { s.requests(requests) })
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			s.all.Go(func() { s.session(c) })
		case "direct-tcpip", "direct-streamlocal@openssh.com":
			s.all.Go(func() { s.dial(c) })
		default:
			_ = c.Reject(ssh.UnknownChannelType, "hostler does not serve "+c.ChannelType())
		}
	}
	asked := ctx.Err() != nil
	cancel()
	s.closeListeners()
	_ = conn.Close()
	s.all.Wait()
	if asked {
		return context.Cause(ctx)
	}
	if err := conn.Wait(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		opt.Log.Debug("ssh: the client has gone", "err", err)
	}
	return nil
}

// streamConn is a stream as the ssh package wants it.
type streamConn struct{ io.ReadWriteCloser }

type streamAddr struct{}

func (streamAddr) Network() string { return "pipe" }
func (streamAddr) String() string  { return "pipe" }

func (streamConn) LocalAddr() net.Addr              { return streamAddr{} }
func (streamConn) RemoteAddr() net.Addr             { return streamAddr{} }
func (streamConn) SetDeadline(time.Time) error      { return nil }
func (streamConn) SetReadDeadline(time.Time) error  { return nil }
func (streamConn) SetWriteDeadline(time.Time) error { return nil }
