package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/qmp"
	"github.com/hostler-project/hostler/provider/vm/seed"
	"github.com/hostler-project/hostler/remote/agent"
)

// How long to wait for a guest's greeting on a port.
const (
	glance   = 150 * time.Millisecond // while it may be booting
	patience = 3 * time.Second        // when it was there before
)

// line is a connection to a port of a machine. No other client has the port until it is closed.
type line struct {
	net.Conn
	port int
	lock *os.File
}

// Close releases the port.
func (l *line) Close() error { return errors.Join(l.Conn.Close(), l.lock.Close()) }

// errBusy is the error for a machine all of whose ports are in use.
var errBusy = errors.New("all of its ports are in use by other processes")

// turn makes the next line start at another port: a port that was just closed needs a moment in the
// guest.
var turn atomic.Uint32

// call connects to a free port of the machine in a directory, but not to the port avoid.
func call(ctx context.Context, dir string, avoid int) (*line, error) {
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
		return &line{c, n, lock}, nil
	}
	return nil, errBusy
}

// greet waits for the guest's greeting, at most for limit. Without it the line is closed.
func (l *line) greet(ctx context.Context, limit time.Duration) error {
	defer context.AfterFunc(ctx, func() { _ = l.SetReadDeadline(time.Unix(1, 0)) })()
	_ = l.SetReadDeadline(qmp.Deadline(ctx, limit))
	err := guest.Greet(l)
	if err != nil {
		_ = l.Close()
		return err
	}
	return l.SetReadDeadline(time.Time{})
}

// reach connects to a port on which the guest greets, and tries for limit.
func reach(ctx context.Context, dir string, limit time.Duration) (*line, error) {
	end := qmp.Deadline(ctx, limit)
	for wait := glance; ; wait *= 2 {
		l, err := call(ctx, dir, -1)
		if err == nil {
			if err = l.greet(ctx, min(wait, time.Until(end))); err == nil {
				return l, nil
			}
		} else if !errors.Is(err, errBusy) {
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

// probe reports whether the machine in a directory has booted, as an error if not.
func (p *entrance) probe(ctx context.Context, dir string, sync bool) error {
	l, err := reach(ctx, dir, glance)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &compute.Error{Op: "vm.Connect", Kind: compute.ErrNotReady, Err: err}
	}
	c := agent.New(l)
	defer c.Close()
	words := strings.Fields(p.p.o.Ready)
	if len(words) == 0 {
		words = []string{"sh", "-c", services}
	}
	var said strings.Builder
	exit, err := c.Run(ctx, &compute.Command{Args: words, Stderr: &said})
	if errors.Is(err, compute.ErrNoCommand) && p.p.o.Ready == "" {
		exit, err = compute.Exit{}, nil // there is no program to ask
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || exit.Status() != 0 {
		return &compute.Error{Op: "vm.Connect", Kind: compute.ErrNotReady, Err: fmt.Errorf("it is booting: %.200s %w", said.String(), err)}
	}
	if sync {
		_, _ = c.Run(ctx, &compute.Command{Args: []string{"sync"}})
	}
	return nil
}

// services succeeds when systemd and cloud-init, where they exist, have done their work. It goes by
// the first process's program: for a while after its start systemd shows no other sign, and does
// not answer.
const services = `case $(readlink /proc/1/exe) in */systemd)
case $(systemctl is-system-running 2>/dev/null) in running|degraded|maintenance) ;; *) exit 1; esac; esac
if test -d /run/cloud-init && ! test -e /run/cloud-init/disabled && command -v cloud-init >/dev/null; then
test -e /var/lib/cloud/instance/boot-finished || exit 1; fi`

// wake makes an instance usable, and returns a line to it on which the guest has greeted. With
// agent = ssh there is no line.
func (p *entrance) wake(ctx context.Context, id compute.ID) (*line, error) {
	l, own, err := p.p.rehearser.lock(ctx, id)
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	defer l.Close()
	if err := p.usable(own); err != nil {
		return nil, err
	}
	home := p.p.home(id)
	switch own.Stage {
	case named:
		return p.again(ctx, id)
	case booting:
		if err := p.probe(ctx, home, false); err != nil {
			return nil, fault("Connect", id, err)
		}
		out, err := reach(ctx, home, patience)
		if err != nil {
			return nil, &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
		}
		i, err := identity(own)
		if err != nil {
			_ = out.Close()
			return nil, fault("Connect", id, err)
		}
		return p.name(own, out, out.introduce(ctx, i))
	}
	if err := p.p.at("wake"); err != nil {
		return nil, err
	}
	awaken := p.renew
	if own.Stage == restored {
		awaken = p.become
	}
	out, err := awaken(ctx, own)
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	if err := p.p.at("woken"); err != nil {
		_ = out.Close()
		return nil, err
	}
	return p.name(own, out, nil)
}

// become resumes a machine that is still the copy of another, gives it its identity, and returns a
// line to it.
func (p *entrance) become(ctx context.Context, own owner) (*line, error) {
	i, err := identity(own)
	if err != nil {
		return nil, err
	}
	out, err := resume(ctx, p.p.home(compute.ID(own.ID)), own.Last)
	if err != nil {
		return nil, err
	}
	if err := out.introduce(ctx, i); err != nil {
		_ = out.Close()
		return nil, err
	}
	return out, nil
}

// renew resumes a machine that has its identity, with the current time and fresh random numbers,
// and returns a line to it. Both are sent before it runs, so that it reads them first.
func (p *entrance) renew(ctx context.Context, own owner) (*line, error) {
	home := p.p.home(compute.ID(own.ID))
	out, err := call(ctx, home, own.Last)
	if err != nil {
		return nil, err
	}
	err = moment().Send(out)
	if err == nil {
		err = proceed(ctx, home)
	}
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	var refused *guest.Refusal
	if err = out.greet(ctx, patience); err == nil {
		if err = out.heed(ctx, patience, func() error { return guest.Taken(out) }); err == nil {
			return out, nil
		}
		_ = out.Close()
	}
	if ctx.Err() != nil || errors.As(err, &refused) {
		return nil, err
	}
	// Bytes of an earlier client, or a busy host: another port will do.
	if out, err = reach(ctx, home, patience); err != nil {
		return nil, err
	}
	if err = out.introduce(ctx, guest.Identity{}); err != nil {
		_ = out.Close()
		return nil, err
	}
	return out, nil
}

// resume resumes a paused machine, and returns a line on which it greets.
func resume(ctx context.Context, dir string, avoid int) (*line, error) {
	out, err := call(ctx, dir, avoid) // before it runs, so that it finds a client there at once
	if err != nil {
		return nil, err
	}
	if err := proceed(ctx, dir); err != nil {
		_ = out.Close()
		return nil, err
	}
	if out.greet(ctx, patience) != nil { // an earlier client's bytes, or a busy host: try others
		return reach(ctx, dir, patience)
	}
	return out, nil
}

// proceed resumes the machine in a directory.
func proceed(ctx context.Context, dir string) error {
	m, err := qmp.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Do(ctx, "cont", nil, nil)
}

// identity is what makes a machine itself, without the values that only count at the moment of use.
func identity(own owner) (guest.Identity, error) {
	key, err := seed.NewKey("root@" + hostname(own.ID))
	return guest.Identity{
		Hostname: hostname(own.ID), MachineID: strings.ReplaceAll(own.UUID, "-", ""), HostKey: key.Private,
		HostPub: key.Public,
	}, err
}

// moment holds the values that only count at the moment of a machine's use.
func moment() guest.Identity { return guest.Identity{Entropy: entropy(), Time: time.Now()} }

// introduce gives a machine an identity, with the current time and fresh random numbers.
func (l *line) introduce(ctx context.Context, i guest.Identity) error {
	now := moment()
	i.Entropy, i.Time = now.Entropy, now.Time
	return l.heed(ctx, 20*time.Second, func() error { return guest.Identify(l, i) })
}

// heed runs do, and makes reads and writes of the line fail when ctx ends or limit has passed.
func (l *line) heed(ctx context.Context, limit time.Duration, do func() error) error {
	defer context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })()
	_ = l.SetDeadline(qmp.Deadline(ctx, limit))
	if err := do(); err != nil {
		return err
	}
	return l.SetDeadline(time.Time{})
}

// name records that a machine is in use. err tells whether it got what it needs for that. Nothing
// was run in it for its user yet.
func (p *entrance) name(own owner, l *line, err error) (*line, error) {
	if err == nil {
		if err = p.p.at("named"); err == nil {
			err = p.p.record(&own, named)
		}
	}
	if err != nil {
		_ = l.Close()
		return nil, fault("Connect", compute.ID(own.ID), err)
	}
	return l, nil
}

// again connects to a machine that is in use.
func (p *entrance) again(ctx context.Context, id compute.ID) (*line, error) {
	out, err := reach(ctx, p.p.home(id), patience)
	if err == nil || ctx.Err() != nil {
		return out, fault("Connect", id, err)
	}
	if errors.Is(err, errBusy) {
		return nil, &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrUnavailable, Err: errBusy}
	}
	if err := p.p.trouble(ctx, "Connect", id); err != nil {
		return nil, err
	}
	return nil, &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
}

// usable refuses instances that cannot be connected to as they are.
func (p *entrance) usable(own owner) error {
	id := compute.ID(own.ID)
	switch own.Stage {
	case begun, starting:
		return &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrNotReady, Err: errors.New("it is being made")}
	case stopped:
		return &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrUnavailable, Err: errors.New("it is shut down")}
	}
	ok, err := own.Alive()
	if err == nil && !ok {
		return p.p.dead("Connect", id)
	}
	return fault("Connect", id, err)
}

// Connect opens a connection to a machine. A paused machine stays paused until the first use of the
// connection.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault("Connect", id, err)
	}
	own, err := p.homes.Read(id)
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	if err := p.entrance.usable(own); err != nil {
		return nil, err
	}
	p.trim(id)
	if p.o.Access == "ssh" {
		return p.entrance.connectSSH(ctx, own)
	}
	c := newConn(p, id)
	switch own.Stage {
	case restored, awake, paused:
		return c, nil
	case named:
		c.line, err = p.entrance.again(ctx, id)
	default:
		c.line, err = p.entrance.wake(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	c.client = agent.New(c.line)
	return c, nil
}
