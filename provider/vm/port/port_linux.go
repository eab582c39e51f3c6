package port

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/qmp"
)

// How long to wait for a guest's greeting on a port.
const (
	Glance   = 150 * time.Millisecond // while it may be booting
	Patience = 3 * time.Second        // when it was there before
)

// Line is a connection to a port of a machine. No other client has the port until it is closed.
type Line struct {
	net.Conn
	Port int
	lock *os.File
}

// Close releases the port.
func (l *Line) Close() error { return errors.Join(l.Conn.Close(), l.lock.Close()) }

// Release gives the port to other clients.
func (l *Line) Release() { _ = l.lock.Close() }

// ErrBusy is the error for a machine all of whose ports are in use.
var ErrBusy = errors.New("all of its ports are in use by other processes")

// turn makes the next line start at another port: a port that was just closed needs a moment in the
// guest.
var turn atomic.Uint32

// Call connects to a free port of the machine in a directory, but not to the port avoid.
func Call(ctx context.Context, dir string, avoid int) (*Line, error) {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(d)
	start := int(turn.Add(1)) + os.Getpid()
	for i := range guest.Ports {
		n := (start + i) % guest.Ports
		if n == avoid {
			continue
		}
		fd, err := unix.Openat(d, fmt.Sprintf("agent.%d.lock", n), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		lock := os.NewFile(uintptr(fd), "lock")
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
			_ = lock.Close()
			continue
		}
		var dial net.Dialer
		c, err := dial.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/agent.%d", d, n))
		if err != nil {
			_ = lock.Close()
			return nil, err
		}
		return &Line{c, n, lock}, nil
	}
	return nil, ErrBusy
}

// Greet waits for the guest's greeting, at most for limit. Without it the line is closed.
func (l *Line) Greet(ctx context.Context, limit time.Duration) error {
	defer context.AfterFunc(ctx, func() { _ = l.SetReadDeadline(time.Unix(1, 0)) })()
	_ = l.SetReadDeadline(qmp.Deadline(ctx, limit))
	err := guest.Greet(l)
	if err != nil {
		_ = l.Close()
		return err
	}
	return l.SetReadDeadline(time.Time{})
}

// Reach connects to a port on which the guest greets, and tries for limit.
func Reach(ctx context.Context, dir string, limit time.Duration) (*Line, error) {
	end := qmp.Deadline(ctx, limit)
	for wait := Glance; ; wait *= 2 {
		l, err := Call(ctx, dir, -1)
		if err == nil {
			if err = l.Greet(ctx, min(wait, time.Until(end))); err == nil {
				return l, nil
			}
		} else if !errors.Is(err, ErrBusy) {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("the agent in the machine does not answer: %w", err)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Moment holds the values that only count at the moment of a machine's use.
func Moment() guest.Identity { return guest.Identity{Entropy: entropy(), Time: time.Now()} }

// Introduce gives a machine an identity, with the current time and fresh random numbers.
func (l *Line) Introduce(ctx context.Context, i guest.Identity) error {
	now := Moment()
	i.Entropy, i.Time = now.Entropy, now.Time
	return l.Heed(ctx, 20*time.Second, func() error { return guest.Identify(l, i) })
}

// Heed runs do, and makes reads and writes of the line fail when ctx ends or limit has passed.
func (l *Line) Heed(ctx context.Context, limit time.Duration, do func() error) error {
	defer context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })()
	_ = l.SetDeadline(qmp.Deadline(ctx, limit))
	if err := do(); err != nil {
		return err
	}
	return l.SetDeadline(time.Time{})
}

// entropy returns the bytes that seed a machine's random numbers.
func entropy() []byte {
	b := make([]byte, 64)
	_, _ = rand.Read(b)
	return b
}
