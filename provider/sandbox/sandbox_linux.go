package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/instancedirs"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
	"github.com/hostler-project/hostler/provider/sandbox/uids"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/text/units"
)

// Provider makes sandboxes.
type Provider struct {
	o      Options
	log    *slog.Logger
	homes  *instancedirs.Dir[instanceRecord]
	shares []share
	root   bool // we are root

	groups  *groups
	masks   *masks
	images  *images
	net     *networks
	starter *starter
	ahead   *ahead
	lacks   unshown // what its sandboxes should show of the host and cannot
	// called before each step, with its name; an error ends the call as a kill would. nil but in
	// tests
	step func(string) error
}

var (
	_ compute.Provider     = (*Provider)(nil)
	_ provider.Cleaner     = (*Provider)(nil)
	_ provider.Checker     = (*Provider)(nil)
	_ provider.Snapshotter = (*Provider)(nil)
)

// Open returns the provider for one source. ErrInvalid: the options are wrong. Create is the first
// to try what the kernel may refuse.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	fail := func(text string, args ...any) (*Provider, error) {
		return nil, &compute.Error{Op: "sandbox.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf(text, args...)}
	}
	shares, ports, err := o.read()
	switch {
	case err != nil:
		return fail("%w", err)
	case o.Dir == "":
		return fail("no directory to keep instances in")
	case o.Agent == nil:
		return fail("no agent")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fail("%w", err)
	}
	o.Dir = dir
	p := &Provider{o: o, log: log, shares: shares, root: os.Geteuid() == 0 && uids.Mapped()}
	p.homes = p.keep()
	p.groups = &groups{
		o: &p.o, find: found(func() (*cgroup.Tree, error) { return capped("hostler-" + label(o.Installation)) }),
	}
	p.masks = &masks{o: &p.o, place: found(func() (string, error) { return mask.Place("/", o.Runtime) })}
	p.images = &images{o: &p.o, root: p.root, home: p.home, at: p.at}
	p.net = &networks{o: &p.o, root: p.root, ports: ports, log: log}
	p.starter = &starter{o: &p.o, root: p.root, groups: p.groups}
	p.ahead = &ahead{o: &p.o, log: log, starter: p.starter, wanted: make(chan struct{}, 1)}
	return p, nil
}

// found calls look until it succeeds, and then returns that result for ever.
func found[T any](look func() (T, error)) func() (T, error) {
	var mu sync.Mutex
	var is T
	done := false
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return is, nil
		}
		v, err := look()
		if err == nil {
			is, done = v, true
		}
		return v, err
	}
}

// at calls the test's hook before a step.
func (p *Provider) at(step string) error {
	if p.step == nil {
		return nil
	}
	return p.step(step)
}

// fault adds the operation and the instance to an error, and a kind unless it has one.
func fault(op string, id compute.ID, err error) error {
	if err == nil {
		return nil
	}
	var e *compute.Error
	if errors.As(err, &e) {
		if e.Op == "" {
			e.Op, e.ID = "sandbox."+op, id
		}
		return err
	}
	kind := error(compute.ErrFailed)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = nil
	case errors.Is(err, instancedirs.ErrNone):
		kind = compute.ErrNotFound
	case errors.Is(err, instancedirs.ErrForeign):
		kind = compute.ErrConflict
	case errors.Is(err, uids.ErrNone), instancedirs.Full(err):
		kind = compute.ErrNoCapacity
	case errors.Is(err, fs.ErrPermission):
		kind = compute.ErrDenied
	}
	return &compute.Error{Op: "sandbox." + op, ID: id, Kind: kind, Err: err}
}

// instance describes a sandbox by its record. Memory and disk are in bytes, and cores are at
// least one.
func (p *Provider) instance(o instanceRecord) compute.Instance {
	facts := map[string]string{"os": "linux", "arch": runtime.GOARCH, "image": o.Image}
	l := p.groups.limits(o)
	cores := runtime.NumCPU()
	if l.cores > 0 {
		cores = min(cores, max(1, int(l.cores)))
	}
	facts["cores"], facts["memory"] = strconv.Itoa(cores), strconv.FormatInt(l.memory, 10)
	if disk := p.groups.disk(o); disk > 0 {
		facts["disk"] = strconv.FormatInt(disk, 10)
	}
	return compute.Instance{ID: compute.ID(o.ID), Source: p.o.Source, ProviderID: p.home(compute.ID(o.ID)), Facts: facts}
}

// Create makes a sandbox, finishes one that was begun, or returns the existing one.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if !instancedirs.Plain(spec.ID) {
		return compute.Instance{}, &compute.Error{
			Op: "sandbox.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name for a directory"),
		}
	}
	own := instanceRecord{Owner: p.homes.Owner(spec.ID), Image: spec.Image, Cores: spec.Cores, Memory: spec.Memory, Disk: spec.Disk}
	if err := p.cannot(own); err != nil {
		return compute.Instance{}, &compute.Error{
			Op: "sandbox.Create", ID: spec.ID, Kind: compute.ErrTooLarge, Hint: "ask for less, or another source",
			Err: err,
		}
	}
	own.Image = image.InHome(cmp.Or(own.Image, p.o.Image, hostImage), p.o.Home)
	in, err := p.create(ctx, own)
	return in, fault("Create", spec.ID, err)
}

// cannot says why this machine can never satisfy a request, or returns nil.
func (p *Provider) cannot(own instanceRecord) error {
	if n := runtime.NumCPU(); own.Cores > n || own.Memory > installed() {
		return fmt.Errorf("this machine has %d cores and %s of memory", n, units.FormatSize(installed()))
	}
	if p.o.Upper != "disk" && p.o.Disk == 0 {
		if most := p.groups.limits(own).memory; own.Disk > most {
			return fmt.Errorf(
				"what is written is kept in memory, of which it has %s: no %s of disk", units.FormatSize(most), units.FormatSize(own.Disk),
			)
		}
		return nil
	}
	if most := p.homes.Space(); most > 0 && own.Disk > most {
		return fmt.Errorf("the file system has %s: no %s of disk", units.FormatSize(most), units.FormatSize(own.Disk))
	}
	return nil
}

// create returns a sandbox that is there already. An incomplete one is removed and made anew.
func (p *Provider) create(ctx context.Context, own instanceRecord) (compute.Instance, error) {
	home, own, err := p.homes.Make(ctx, own)
	if err != nil {
		return compute.Instance{}, err
	}
	defer home.Close()
	id := compute.ID(own.ID)
	if ok, err := p.stands(id); ok || err != nil {
		return p.instance(own), err
	}
	if err := p.down(ctx, home, id); err != nil { // an incomplete one
		return compute.Instance{}, err
	}
	if err := p.make(ctx, home, own); err != nil {
		return compute.Instance{}, err
	}
	return p.instance(own), nil
}

// stands reports whether a sandbox was made completely and lives.
func (p *Provider) stands(id compute.ID) (bool, error) {
	l, made, err := p.readLife(id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !made {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return l.alive()
}

// ended returns the error for a sandbox that is not there any more.
func (p *Provider) ended(op string, id compute.ID) error {
	return &compute.Error{Op: "sandbox." + op, ID: id, Kind: compute.ErrFailed,
		Err:  compute.Ended(errors.New("the sandbox has ended: its first process was killed, or this machine was restarted")),
		Hint: "release it and take another"}
}

// Connect opens a connection to a sandbox's agent.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	own, err := p.homes.Read(id)
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	home, err := os.Open(p.home(id))
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	defer home.Close()
	p.net.keepAnswers(ctx, id)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(int(home.Fd()))+"/agent")
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, p.ended("Connect", id)
	}
	if err != nil {
		return nil, fault("Connect", id, err)
	}
	return p.way(id, own, agent.New(conn))
}

// Check returns nil when the sandbox's first process runs.
func (p *Provider) Check(_ context.Context, id compute.ID) error {
	if _, err := p.homes.Read(id); err != nil {
		return fault("Check", id, err)
	}
	if ok, err := p.stands(id); ok || err != nil {
		return fault("Check", id, err)
	}
	return p.ended("Check", id)
}

// Destroy ends a sandbox and deletes all that it has.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	defer buryAll()
	home, _, err := p.homes.Lock(ctx, id)
	if err != nil {
		if errors.Is(err, instancedirs.ErrNone) {
			// an earlier Destroy may have been killed over it
			p.homes.Sweep(ctx, 0)
			// or a Create
			if more := errors.Join(p.groups.end(ctx, label(string(id))), p.net.detach(ctx, id)); more != nil && instancedirs.Plain(id) {
				err = more
			}
			p.groups.leave(ctx)
		}
		return fault("Destroy", id, err)
	}
	defer home.Close()
	if err := p.down(ctx, home, id); err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.images.release(id); err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.at("trash"); err != nil {
		return err
	}
	to, err := p.homes.Throw(p.home(id))
	if err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.at("delete"); err != nil {
		return err
	}
	if err := instancedirs.Remove(to); err != nil {
		return fault("Destroy", id, err)
	}
	p.homes.Sweep(ctx, time.Hour)
	p.groups.leave(ctx)
	return nil
}

// Clean makes a sandbox anew: its whole content is deleted.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	home, own, err := p.homes.Lock(ctx, id)
	if err != nil {
		return "", fault("Clean", id, err)
	}
	defer home.Close()
	if err := p.down(ctx, home, id); err != nil {
		return "", fault("Clean", id, err)
	}
	if err := p.make(ctx, home, own); err != nil {
		return "", fault("Clean", id, err)
	}
	return "its name spaces ended with all processes, and its layer; made anew from " + own.Image, nil
}

// down ends and removes all of a sandbox but its directory and record.
func (p *Provider) down(ctx context.Context, home *os.File, id compute.ID) error {
	l, _, err := p.readLife(id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, lerr := os.Lstat(filepath.Join(p.home(id), "life")); err != nil && errors.Is(lerr, fs.ErrNotExist) {
		// the group is made before there is a process
		if err := p.groups.end(ctx, label(string(id))); err != nil {
			return err
		}
		return nil
	}
	if err := p.at("kill"); err != nil {
		return err
	}
	if err := l.kill(ctx); err != nil {
		return err
	}
	if err := p.at("ungroup"); err != nil {
		return err
	}
	if err := p.groups.end(ctx, cmp.Or(l.Group, label(string(id)))); err != nil {
		return err
	}
	if err := p.at("detach"); err != nil {
		return err
	}
	if err := p.net.detach(ctx, id); err != nil {
		return err
	}
	if err := p.at("unguard"); err != nil {
		return err
	}
	if err := unguard(p.home(id)); err != nil {
		return err
	}
	for _, name := range []string{"agent", "layer", "life"} { // the record goes last
		if err := p.at("clear " + name); err != nil {
			return err
		}
		if err := instancedirs.Remove(filepath.Join(p.home(id), name)); err != nil {
			return err
		}
	}
	return nil
}

// List returns this installation's sandboxes of this source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault("List", "", err)
	}
	all, err := p.homes.List()
	var out []compute.Instance
	for _, own := range all {
		out = append(out, p.instance(own))
	}
	return out, fault("List", "", err)
}

// advice is the hint for errors with many causes.
const advice = "run hostler doctor"
