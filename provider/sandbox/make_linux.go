package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// making is a sandbox in the making.
type making struct {
	p    *Provider
	own  instanceRecord
	home *os.File // its directory, locked
	first
	base   *base
	t      bindMounts
	guards []string // the directories that keep guarded names from being taken
	holds  []int    // their descriptors, by place among those sent with the plan
}

// make makes a sandbox in its directory, which is locked and has none. After a failure it ends the
// process, and leaves the directory to be tried again or destroyed.
func (p *Provider) make(ctx context.Context, home *os.File, own instanceRecord) (err error) {
	buryAll()
	if err := p.at("start"); err != nil {
		return err
	}
	if own.Disk > 0 && p.o.Upper == "disk" && !p.root {
		return &compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("only root can limit what is written with upper = disk"),
			Hint: "ask for no disk, or set upper = ram",
		}
	}
	if err := room(); err != nil {
		return err
	}
	base, err := p.images.base(ctx, own)
	if err != nil {
		return err
	}
	defer p.ahead.refill() // at the end, so as not to slow this down
	f, ready := p.ahead.take(p.groups.limits(own))
	if ready {
		err = (&making{p: p, own: own, home: home, base: base, first: f, t: bindMounts{users: -1}}).make(ctx)
		if !errors.Is(err, errEndedEarly) || ctx.Err() != nil {
			return err
		}
		// it was killed while it waited: that says nothing of this sandbox
		if err := p.down(ctx, home, compute.ID(own.ID)); err != nil {
			return err
		}
	}
	if f, err = p.starter.start(ctx, label(own.ID), own); err != nil {
		f.close()
		return errors.Join(err, p.starter.abandon(context.WithoutCancel(ctx), f))
	}
	return (&making{p: p, own: own, home: home, base: base, first: f, t: bindMounts{users: -1}}).make(ctx)
}

// make makes a sandbox of its first process, and ends the process if that fails.
func (m *making) make(ctx context.Context) (err error) {
	p, home := m.p, m.home
	defer func() {
		m.t.close()
		m.close()
		if err != nil {
			err = errors.Join(err, m.end(context.WithoutCancel(ctx)))
		}
	}()
	// The process takes a moment to start and wait for its plan. Meanwhile it is recorded, and the
	// plan is made.
	if err := p.at("life"); err != nil {
		return err
	}
	if err := writeLife(home, m.life); err != nil {
		return err
	}
	if err := p.at("plan"); err != nil {
		return err
	}
	attaching := p.net.attach(ctx, &m.first, m.own.ID)
	plan, err := m.plan(ctx)
	net := <-attaching
	if err = errors.Join(err, net.err); err != nil {
		return err
	}
	if net.resolv != "" {
		plan.Files["/etc/resolv.conf"] = net.resolv
	}
	if err := p.at("send"); err != nil {
		return err
	}
	if err := m.send(plan); err != nil {
		return m.died(err)
	}
	if err := m.answer(ctx); err != nil {
		return err
	}
	if err := p.at("made"); err != nil {
		return err
	}
	return finishLife(home)
}

// end ends a process that will not become a sandbox, and its group.
func (m *making) end(ctx context.Context) error {
	return errors.Join(m.p.starter.abandon(ctx, m.first), m.p.net.detach(ctx, compute.ID(m.own.ID)))
}

// listen makes the socket of the agent, by a name short enough for the kernel wherever the state
// is. The descriptor goes along with the plan.
func (m *making) listen() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m.t.fds = append(m.t.fds, fd)
	if err := unix.Unlinkat(int(m.home.Fd()), "agent", 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(int(m.home.Fd())) + "/agent"})
	if err == nil {
		err = unix.Listen(fd, 1024)
	}
	if err != nil {
		return fmt.Errorf("the agent's socket: %w", err)
	}
	return nil
}

// maxTrees is how many descriptors the kernel passes at once.
const maxTrees = 253

// send sends the plan, with its descriptors.
func (m *making) send(plan *enter.Plan) error {
	b := plan.Bytes()
	if len(b) > enter.MaxPlan {
		return &compute.Error{
			Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("its root and environment take %d bytes to describe, and %d is the most", len(b), enter.MaxPlan),
		}
	}
	if len(m.t.fds) > maxTrees {
		return &compute.Error{
			Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("its root has %d parts, and %d is the most", len(m.t.fds), maxTrees),
		}
	}
	return unix.Sendmsg(int(m.control.Fd()), b, unix.UnixRights(m.t.fds...), nil, 0)
}

// patience is how long the first process may take: as a rule it takes a millisecond, but machines
// are suspended and disks are slow.
const patience = time.Minute

// answer waits for the first process's answer.
func (m *making) answer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := m.control.SyscallConn() // a raw connection knows when it is closed
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	})()
	buf := make([]byte, 16<<10)
	var n int
	for {
		if n, err = unix.Read(int(m.control.Fd()), buf); err != unix.EINTR {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || n == 0 {
		return m.died(err)
	}
	a, err := enter.ReadAnswer(buf[:n])
	if err != nil {
		return m.died(err)
	}
	m.p.lacks.tell(m.p.log, m.p.o.Source, append(m.t.lacks, a.Lacks...))
	if a.Error == "" {
		return nil
	}
	text := a.Error
	if a.Step != "" {
		text = a.Step + ": " + text
	}
	out := &compute.Error{Kind: compute.ErrFailed, Err: errors.New(text), Hint: advice}
	// A full layer is the sandbox's own: nothing that others release makes it larger, so waiting
	// does not help.
	if errno := syscall.Errno(a.Errno); errors.Is(errno, unix.ENOSPC) {
		out.Hint = "give it more disk"
	} else if errors.Is(errno, unix.ENOMEM) {
		out.Kind, out.Hint = compute.ErrNoCapacity, "give it more memory"
	} else if errors.Is(errno, unix.ENODEV) { // the kernel lacks a file system
		out.Kind = compute.ErrUnavailable
		if strings.Contains(text, "overlay") {
			out.Hint = overlayHint
		}
	}
	return out
}

// died returns the error for a first process that ended without an answer.
func (m *making) died(err error) error {
	return &compute.Error{Kind: compute.ErrFailed, Err: errors.Join(errEndedEarly, err), Hint: advice}
}
