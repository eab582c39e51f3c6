package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/instancedirs"
	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/port"
	"github.com/hostler-project/hostler/remote/agent"
)

// A restored machine is halted, and cold: without KVM every instruction is translated when this
// qemu meets it first, and no memory written since the boot is its own. So it runs for a moment
// before it is used. It takes its identity, does what it will do for its user, and is halted again.
// That is its rehearsal. Nobody waits for it: a user of the machine ends the rehearsal, and gets
// the machine as it is.
const (
	// before a rehearsal: the client that made a machine for itself uses it at once
	breath = 100 * time.Millisecond
	// before the rehearsal of a machine that another process made: that process may be at it
	adoption  = time.Second
	atMost    = 20 * time.Second // for each of its parts
	quietMost = 3 * time.Second  // for the machine to come to rest
)

// rehearsals owns the rehearsals of a provider's machines, which end with it.
type rehearsals struct {
	// slots of the rehearsals that run at once: they take processors from users that wait
	gate chan struct{}

	mu     sync.Mutex
	closed bool
	all    map[compute.ID]*rehearsal
	work   sync.WaitGroup
}

// rehearsal is the rehearsal of one machine.
type rehearsal struct {
	uuid   string // of the machine as it was made: a later machine of the same name has another
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// errWanted ends the rehearsal of a machine that has work: its user takes it over as it is.
var errWanted = errors.New("the machine is wanted")

func newRehearsals() *rehearsals {
	return &rehearsals{gate: make(chan struct{}, max(1, runtime.NumCPU()/2)), all: map[compute.ID]*rehearsal{}}
}

// later rehearses a machine in a while, unless that is about to happen already.
func (p *rehearser) later(own instanceRecord, wait time.Duration) {
	r, id := p.p.rehearsals, compute.ID(own.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.all[id]
	if r.closed || old != nil && old.uuid == own.UUID {
		return
	}
	if old != nil {
		old.cancel(errWanted)
	}
	ctx, cancel := context.WithCancelCause(context.Background()) // until drop or Close
	n := &rehearsal{own.UUID, cancel, make(chan struct{})}
	r.all[id] = n
	r.work.Go(func() {
		defer func() {
			cancel(nil)
			r.mu.Lock()
			if r.all[id] == n {
				delete(r.all, id)
			}
			r.mu.Unlock()
			close(n.done)
		}()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		select {
		case r.gate <- struct{}{}:
			defer func() { <-r.gate }()
		case <-ctx.Done():
			return
		}
		if err := p.rehearse(ctx, id, own.UUID); err != nil && ctx.Err() == nil {
			p.p.log.Info("a machine was not rehearsed: its first use takes longer", "source", p.p.o.Source, "instance", id, "err", err)
		}
	})
}

// lock takes a machine's lock for a user of the machine. It first ends the machine's rehearsal if
// that is one of ours. Close releases the lock.
func (p *rehearser) lock(ctx context.Context, id compute.ID) (*os.File, instanceRecord, error) {
	p.p.rehearsals.drop(id)
	return p.p.homes.Lock(ctx, id)
}

// drop ends a machine's rehearsal here, and waits for its end.
func (r *rehearsals) drop(id compute.ID) {
	r.mu.Lock()
	n := r.all[id]
	r.mu.Unlock()
	if n != nil {
		n.cancel(errWanted)
		<-n.done
	}
}

// Close ends the rehearsals that go on here, and waits for their end. Nothing else of a provider
// needs to be closed, and it can be used as before.
func (p *Provider) Close() error {
	r := p.rehearsals
	r.mu.Lock()
	r.closed = true
	for _, n := range r.all {
		n.cancel(context.Canceled)
	}
	r.mu.Unlock()
	r.work.Wait()
	return nil
}

// rehearse rehearses the machine that was made as uuid, unless another does or it is in use. It
// holds the machine's lock only where others must not interfere. If it is killed the machine runs
// and does nothing; the next rehearsal halts it.
func (p *rehearser) rehearse(ctx context.Context, id compute.ID, uuid string) error {
	turn, err := p.alone(id)
	if turn == nil || err != nil {
		return err
	}
	defer turn.Close()
	own, line, err := p.stir(ctx, id, uuid)
	if line != nil {
		err = p.practise(ctx, &own, line)
	} else if err == nil {
		return nil
	}
	if p.p.templates.died(err) || context.Cause(ctx) == errWanted {
		return err
	}
	// Also when that failed, or the provider is closed: a machine that runs costs something.
	return errors.Join(err, p.halt(context.WithoutCancel(ctx), own))
}

// alone takes the right to rehearse a machine; nil: another has it.
func (p *rehearser) alone(id compute.ID) (*os.File, error) {
	fd, err := unix.Open(filepath.Join(p.p.home(id), "rehearsal.lock"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "rehearsal.lock")
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = f.Close()
		return nil, nil
	}
	return f, nil
}

// stir resumes a machine that nobody has used, and gives it its identity unless it has it. It
// returns a line to it; nil: there is nothing to rehearse.
func (p *rehearser) stir(ctx context.Context, id compute.ID, uuid string) (own instanceRecord, out *port.Line, err error) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	l, own, err := p.p.homes.Lock(ctx, id)
	if err != nil {
		if errors.Is(err, instancedirs.ErrNone) {
			err = nil
		}
		return own, nil, err
	}
	defer l.Close()
	if own.UUID != uuid || own.Stage != restored && own.Stage != awake {
		return own, nil, nil
	}
	if ok, err := own.Alive(); !ok || err != nil {
		return own, nil, err
	}
	if err := p.p.at("stir"); err != nil {
		return own, nil, err
	}
	if own.Stage == restored {
		out, err = p.p.entrance.become(ctx, own)
	} else {
		out, err = resume(ctx, p.p.home(id), own.Last)
	}
	if err != nil {
		return own, nil, err
	}
	own.Last = out.Port
	if err := p.p.at("itself"); err != nil {
		_ = out.Close()
		return own, nil, err
	}
	if err := p.p.record(&own, awake); err != nil {
		_ = out.Close()
		return own, nil, err
	}
	return own, out, nil
}

// practise does with a machine what its user will do: first all that has never been done in this
// qemu. It lets the machine rest, as sshd may be reading its new key, and then does what a hand-out
// does.
func (p *rehearser) practise(ctx context.Context, own *instanceRecord, l *port.Line) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	id := compute.ID(own.ID)
	if err := p.p.at("practise"); err != nil {
		_ = l.Close()
		return err
	}
	if err := try(ctx, l); err != nil {
		return err
	}
	rest(ctx, own.PID)
	l, err := port.Reach(ctx, p.p.home(id), port.Patience)
	if err != nil {
		return err
	}
	own.Last = l.Port
	if now, err := p.p.homes.Read(id); err != nil || now.UUID != own.UUID || now.Stage != awake {
		return l.Close() // it has a user
	}
	if err := l.Introduce(ctx, guest.Identity{}); err != nil {
		_ = l.Close()
		return err
	}
	err = try(ctx, l)
	rest(ctx, own.PID)
	return err
}

// try runs a command over a line, which it closes.
func try(ctx context.Context, l *port.Line) error {
	// without the waiting for its end that Run would do
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	c := agent.New(l)
	_, err := c.Run(ctx, &compute.Command{Args: []string{"true"}})
	_ = c.Close()
	l.Release() // if the client did not come so far
	if errors.Is(err, compute.ErrNoCommand) {
		err = nil
	}
	return err
}

// halt halts a machine that was rehearsed, unless it is in use by now.
func (p *rehearser) halt(ctx context.Context, was instanceRecord) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	id := compute.ID(was.ID)
	l, own, err := p.p.homes.Lock(ctx, id)
	if err != nil {
		if errors.Is(err, instancedirs.ErrNone) {
			err = nil
		}
		return err
	}
	defer l.Close()
	if own.UUID != was.UUID || own.Process != was.Process || own.Stage != restored && own.Stage != awake {
		return nil
	}
	if err := p.p.at("halt"); err != nil {
		return err
	}
	m, err := p.p.monitor(ctx, id)
	if err != nil {
		return err
	}
	defer m.Close()
	// which did not become itself
	if err := m.Do(ctx, "stop", nil, nil); err != nil || own.Stage == restored {
		return err
	}
	if err := p.p.at("paused"); err != nil {
		return err
	}
	own.Last = was.Last
	return p.p.record(&own, paused)
}

// rest waits until a machine's qemu uses next to no processor time, for a while.
func rest(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(ctx, quietMost)
	defer cancel()
	const glance = 20 * time.Millisecond
	for was, quiet := used(pid), 0; quiet < 3; {
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return
		}
		now := used(pid)
		if quiet++; now-was > glance/10 {
			quiet = 0
		}
		was = now
	}
}

// used is the processor time of all threads of a process.
func used(pid int) (sum time.Duration) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, _ := os.ReadDir(dir)
	for _, t := range threads {
		b, _ := os.ReadFile(filepath.Join(dir, t.Name(), "schedstat"))
		words := strings.Fields(string(b))
		if len(words) > 0 {
			ns, _ := strconv.ParseInt(words[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}
