package sshconn

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshLink is one TCP connection with one log-in, and the sessions on it.
type sshLink struct {
	client *ssh.Client
	conn   *activityConn
	below  *sshLink      // the jump host's link, closed after this one; may be nil
	gone   chan struct{} // closed when the connection has ended
	every  time.Duration // how often a silent link is asked
	count  int           // how often it may not answer
	wg     sync.WaitGroup

	mu       sync.Mutex
	sessions int
	limit    int         // more were refused; 0: not known
	control  *sshControl // nil: not started
}

// activityConn notes when something was last read: a link that speaks is alive, even if an
// answer is behind much data.
type activityConn struct {
	net.Conn
	heard atomic.Int64 // Unix nanoseconds
}

func (c *activityConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// newSSHLink returns a link that is watched from now on. The channel gone is closed when the
// client ends.
func newSSHLink(client *ssh.Client, conn *activityConn, below *sshLink, every time.Duration, count int) *sshLink {
	l := &sshLink{client: client, conn: conn, below: below, gone: make(chan struct{}), every: every, count: max(count, 1)}
	l.wg.Add(2)
	go func() {
		defer l.wg.Done()
		client.Wait()
		close(l.gone)
	}()
	go func() {
		defer l.wg.Done()
		l.watch()
	}()
	return l
}

// watch ends the link when nothing was heard for count+1 times every, though it was asked.
func (l *sshLink) watch() {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		select {
		case <-l.gone:
			return
		case <-tick.C:
		}
		silent := time.Since(time.Unix(0, l.conn.heard.Load()))
		if silent < l.every {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), l.every*time.Duration(l.count))
		err := l.ping(ctx)
		cancel()
		if err != nil && time.Since(time.Unix(0, l.conn.heard.Load())) >= l.every*time.Duration(l.count) {
			l.conn.Close()
		}
	}
}

// ping asks the server for any answer at all.
func (l *sshLink) ping(ctx context.Context) error {
	_, err := await(ctx, l.gone, func() (struct{}, error) {
		_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
		return struct{}{}, err
	}, nil)
	return err
}

var errLinkLost = errors.New("the connection was lost")

// await runs f, which the end of the link ends, but waits no longer than ctx. A result that comes
// too late goes to discard.
func await[T any](ctx context.Context, gone <-chan struct{}, f func() (T, error), discard func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result)
	left := make(chan struct{})
	defer close(left)
	go func() {
		v, err := f()
		select {
		case done <- result{v, err}:
		case <-left:
			if err == nil && discard != nil {
				discard(v)
			}
		}
	}()
	var zero T
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	case <-gone:
		select {
		case r := <-done:
			return r.v, r.err
		case <-time.After(time.Second):
		}
		return zero, errLinkLost
	}
}

func (l *sshLink) lost() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// close ends what runs on the link, then the link, and waits for its goroutines.
func (l *sshLink) close() {
	l.mu.Lock()
	control := l.control
	l.mu.Unlock()
	if control != nil && !l.lost() {
		control.killAll()
	}
	// not client.Close, which would first wait to say good-bye to a host that may hang
	l.conn.Close()
	l.wg.Wait()
	if l.below != nil {
		l.below.close()
	}
}

// reserve counts a session that is about to be opened. A link whose limit is known is left alone,
// but for a probe now and then.
func (l *sshLink) reserve(probe bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit > 0 && l.sessions >= l.limit && !probe {
		return false
	}
	l.sessions++
	return true
}

func (l *sshLink) unreserve() {
	l.mu.Lock()
	l.sessions--
	l.mu.Unlock()
}

// refused learns the limit. Where the control session is all that there is, it makes room.
func (l *sshLink) refused() {
	l.mu.Lock()
	l.limit = max(l.sessions, 1)
	var c *sshControl
	if l.sessions == 0 && l.control != nil {
		c = l.control
	}
	l.mu.Unlock()
	if c != nil {
		c.stop()
	}
}

func (l *sshLink) room() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit == 0 || l.sessions < l.limit
}

func (l *sshLink) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions == 0
}
