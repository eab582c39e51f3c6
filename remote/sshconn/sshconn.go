package sshconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/openssh"
)

// Options say which host to reach. Whatever is left out is taken from OpenSSH's configuration.
type Options struct {
	Host          string   // a name or alias as one gives it to ssh; required
	User          string   // "": the configuration's, else the caller's own name
	Port          int      // 0: the configuration's, else 22
	IdentityFiles []string // nil: the configuration's
	// read in place of ~/.ssh/config and /etc/ssh/ssh_config; "": those two
	ConfigFile string
	// for reaching one host, from the name to the log-in; 0: ConnectTimeout, else 10 s
	Timeout time.Duration
	// a silent link is asked so often; 0: ServerAliveInterval, else 5 s
	KeepAlive time.Duration
	// environment that every command gets, so that it is found again; not secret
	Mark map[string]string
	// TCP connections at most, opened only when a host gives too few sessions; 0: 8
	MaxLinks int
	// Put gives files the owners, by number, that the stream names, where permitted
	Owner bool
	// the only keys that the host may have, each as TYPE BASE64; nil: what the files of known hosts
	// say
	HostKeys []string
	MaxWait  time.Duration // in our own queue for a session that the host refuses; 0: 30 s
}

// meant is what the reading of the configuration needs to know.
func (o Options) meant() openssh.Options {
	return openssh.Options{
		Host: o.Host, User: o.User, Port: o.Port, IdentityFiles: o.IdentityFiles, ConfigFile: o.ConfigFile,
		HostKeys: o.HostKeys,
	}
}

// Conn is a compute.Conn to a host with an ssh server. Log-ins are kept: all commands and copies
// are sessions of one connection, or of a few where the server allows few sessions on each. A
// connection that is lost ends what ran on it with ErrLost; the next call logs in again.
//
// The far side needs a POSIX sh, found by the user's login shell. SFTP and tar are used where they
// are.
type Conn struct {
	opt    Options
	target *openssh.Target
	dial   chan struct{} // a token: one log-in at a time

	mu     sync.Mutex
	links  []*sshLink
	freed  chan struct{} // closed and replaced whenever a session ends
	closed bool
}

var (
	_ compute.Conn      = (*Conn)(nil)
	_ provider.Dialer   = (*Conn)(nil)
	_ provider.Listener = (*Conn)(nil)
)

// Dial logs in to a host. OpenSSH's configuration is honoured: Host, Include, HostName, User, Port,
// IdentityFile, CertificateFile, IdentitiesOnly, IdentityAgent, ProxyJump, ProxyCommand,
// UserKnownHostsFile, GlobalKnownHostsFile, HostKeyAlias, RevokedHostKeys (text),
// StrictHostKeyChecking, ConnectTimeout, ServerAliveInterval, ServerAliveCountMax. Files with
// Match, Include or CanonicalizeHostname are read by OpenSSH's own program ("ssh -G") where it is
// installed, and by our library's lights otherwise, which refuses what it does not know.
//
// Nobody is asked anything: a host key that is not known is refused unless the configuration
// accepts it, and a key with a passphrase works only through an agent. Errors are ErrTimeout,
// ErrDenied (host key, or log-in), ErrUnavailable (not to be reached), ErrInvalid, or ctx's own.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	t, err := openssh.Resolve(ctx, o.meant())
	if err != nil {
		return nil, err
	}
	s := &Conn{opt: o, target: t, dial: make(chan struct{}, 1), freed: make(chan struct{})}
	if s.opt.MaxLinks == 0 {
		s.opt.MaxLinks = 8
	}
	if s.opt.MaxWait == 0 {
		s.opt.MaxWait = 30 * time.Second
	}
	if _, err := s.addLink(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Healthy asks the host over each kept connection whether it still answers. It returns nil when at
// least one does, and within ctx or 5 s. It does not log in again, so a cache of connections can
// tell which to throw away.
func (s *Conn) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, l := range s.alive() {
		if l.ping(ctx) == nil {
			return nil
		}
	}
	return s.fail("ssh.Healthy", compute.ErrLost, errors.New("no connection answers"))
}

// Close ends all connections and, with them, the commands that run; their Run returns ErrLost.
func (s *Conn) Close() error {
	s.mu.Lock()
	links := s.links
	s.links, s.closed = nil, true
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, l := range links {
		closing.Go(l.close)
	}
	closing.Wait()
	return nil
}

func errClosed(op string) error {
	return &compute.Error{Op: op, Kind: compute.ErrLost, Err: errors.New("the connection is closed")}
}

func (s *Conn) fail(op string, kind error, err error) error {
	return &compute.Error{Op: op, ID: compute.ID(s.target.Alias), Kind: kind, Err: err}
}

// alive drops the links that are lost and returns the others.
func (s *Conn) alive() []*sshLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []*sshLink
	for _, l := range s.links {
		if !l.lost() {
			left = append(left, l)
		}
	}
	s.links = left
	return append([]*sshLink(nil), left...)
}

// addLink logs in once more. The caller's ctx bounds it, beside the option.
func (s *Conn) addLink(ctx context.Context) (*sshLink, error) {
	l, err := dialSSHLink(ctx, s.opt, s.target, 0)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.links = append(s.links, l)
	}
	s.mu.Unlock()
	if closed {
		l.close()
		return nil, s.fail("ssh.Dial", compute.ErrLost, errors.New("the connection was closed"))
	}
	return l, nil
}

// anyLink returns a live link, logging in if there is none.
func (s *Conn) anyLink(ctx context.Context) (*sshLink, error) {
	if links := s.alive(); len(links) > 0 {
		return links[0], nil
	}
	select {
	case s.dial <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.dial }()
	if links := s.alive(); len(links) > 0 {
		return links[0], nil
	}
	if s.isClosed() {
		return nil, s.fail("ssh.Dial", compute.ErrLost, errors.New("the connection was closed"))
	}
	return s.addLink(ctx)
}

func (s *Conn) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// session opens a session channel on the first link that has room. A server that refuses is not
// asked again until a session has ended or a moment has passed; meanwhile further links are opened.
// It is ErrUnavailable when the host gave none for MaxWait.
func (s *Conn) session(ctx context.Context) (*sshSession, error) {
	deadline := time.Now().Add(s.opt.MaxWait)
	var last error = errors.New("no session")
	pause := 20 * time.Millisecond
	for try := 1; ; try++ {
		s.mu.Lock()
		freed := s.freed
		s.mu.Unlock()
		if _, err := s.anyLink(ctx); err != nil {
			return nil, err
		}
		for _, l := range s.alive() {
			if !l.reserve(try%8 == 0) {
				continue
			}
			sess, err := l.open(ctx)
			if err == nil {
				sess.ended = s.release
				return sess, nil
			}
			l.unreserve()
			var refused *ssh.OpenChannelError
			switch {
			case errors.As(err, &refused):
				l.refused()
				last = fmt.Errorf("the host refuses another session: %s", refused.Message)
			case ctx.Err() != nil:
				return nil, ctx.Err()
			default:
				last = err
			}
		}
		if s.more(ctx) {
			continue
		}
		if time.Now().After(deadline) {
			return nil, &compute.Error{Op: "ssh.Run", ID: compute.ID(s.target.Alias), Kind: compute.ErrUnavailable, Err: last,
				Hint: "Raise MaxSessions in the host's sshd_config, or run less at once"}
		}
		pause = min(2*pause, 250*time.Millisecond)
		wait := time.NewTimer(pause)
		select {
		case <-freed:
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, ctx.Err()
		}
		wait.Stop()
	}
}

// more opens one more link if that is allowed and nobody is at it; it reports whether there is now
// a new one to try.
func (s *Conn) more(ctx context.Context) bool {
	select {
	case s.dial <- struct{}{}:
	default:
		return false
	}
	defer func() { <-s.dial }()
	links := s.alive()
	if len(links) >= s.opt.MaxLinks {
		return false
	}
	for _, l := range links {
		// a server that gives no session at all gives none on a second link
		if l.room() || l.empty() {
			return false
		}
	}
	_, err := s.addLink(ctx)
	return err == nil
}

func (s *Conn) release(l *sshLink) {
	l.unreserve()
	s.mu.Lock()
	close(s.freed)
	s.freed = make(chan struct{})
	s.mu.Unlock()
}
