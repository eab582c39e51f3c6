package vm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/port"
	"github.com/hostler-project/hostler/provider/vm/qmp"
	"github.com/hostler-project/hostler/provider/vm/seed"
	"github.com/hostler-project/hostler/remote/agent"
)

// probe reports whether the machine in a directory has booted, as an error if not.
func (p *entrance) probe(ctx context.Context, dir string, sync bool) error {
	l, err := port.Reach(ctx, dir, port.Glance)
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
func (p *entrance) wake(ctx context.Context, id compute.ID) (*port.Line, error) {
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
		out, err := port.Reach(ctx, home, port.Patience)
		if err != nil {
			return nil, &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
		}
		i, err := identity(own)
		if err != nil {
			_ = out.Close()
			return nil, fault("Connect", id, err)
		}
		return p.name(own, out, out.Introduce(ctx, i))
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
func (p *entrance) become(ctx context.Context, own instanceRecord) (*port.Line, error) {
	i, err := identity(own)
	if err != nil {
		return nil, err
	}
	out, err := resume(ctx, p.p.home(compute.ID(own.ID)), own.Last)
	if err != nil {
		return nil, err
	}
	if err := out.Introduce(ctx, i); err != nil {
		_ = out.Close()
		return nil, err
	}
	return out, nil
}

// renew resumes a machine that has its identity, with the current time and fresh random numbers,
// and returns a line to it. Both are sent before it runs, so that it reads them first.
func (p *entrance) renew(ctx context.Context, own instanceRecord) (*port.Line, error) {
	home := p.p.home(compute.ID(own.ID))
	out, err := port.Call(ctx, home, own.Last)
	if err != nil {
		return nil, err
	}
	err = port.Moment().Send(out)
	if err == nil {
		err = proceed(ctx, home)
	}
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	var refused *guest.Refusal
	if err = out.Greet(ctx, port.Patience); err == nil {
		if err = out.Heed(ctx, port.Patience, func() error { return guest.Taken(out) }); err == nil {
			return out, nil
		}
		_ = out.Close()
	}
	if ctx.Err() != nil || errors.As(err, &refused) {
		return nil, err
	}
	// Bytes of an earlier client, or a busy host: another port will do.
	if out, err = port.Reach(ctx, home, port.Patience); err != nil {
		return nil, err
	}
	if err = out.Introduce(ctx, guest.Identity{}); err != nil {
		_ = out.Close()
		return nil, err
	}
	return out, nil
}

// resume resumes a paused machine, and returns a line on which it greets.
func resume(ctx context.Context, dir string, avoid int) (*port.Line, error) {
	// before it runs, so that it finds a client there at once
	out, err := port.Call(ctx, dir, avoid)
	if err != nil {
		return nil, err
	}
	if err := proceed(ctx, dir); err != nil {
		_ = out.Close()
		return nil, err
	}
	// an earlier client's bytes, or a busy host: try others
	if out.Greet(ctx, port.Patience) != nil {
		return port.Reach(ctx, dir, port.Patience)
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
func identity(own instanceRecord) (guest.Identity, error) {
	key, err := seed.NewKey("root@" + hostname(own.ID))
	return guest.Identity{
		Hostname: hostname(own.ID), MachineID: strings.ReplaceAll(own.UUID, "-", ""), HostKey: key.Private,
		HostPub: key.Public,
	}, err
}

// name records that a machine is in use. err tells whether it got what it needs for that. Nothing
// was run in it for its user yet.
func (p *entrance) name(own instanceRecord, l *port.Line, err error) (*port.Line, error) {
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
func (p *entrance) again(ctx context.Context, id compute.ID) (*port.Line, error) {
	out, err := port.Reach(ctx, p.p.home(id), port.Patience)
	if err == nil || ctx.Err() != nil {
		return out, fault("Connect", id, err)
	}
	if errors.Is(err, port.ErrBusy) {
		return nil, &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrUnavailable, Err: port.ErrBusy}
	}
	if err := p.p.trouble(ctx, "Connect", id); err != nil {
		return nil, err
	}
	return nil, &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
}

// usable refuses instances that cannot be connected to as they are.
func (p *entrance) usable(own instanceRecord) error {
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
