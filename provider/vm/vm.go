//go:build linux

package vm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/instancedirs"
	"github.com/hostler-project/hostler/provider/vm/ticks"
)

// Provider makes virtual machines.
type Provider struct {
	o          options
	log        *slog.Logger
	homes      *instancedirs.Dir[instanceRecord]
	rehearsals *rehearsals
	tickRate   func() int64
	bare       atomic.Bool // the kernel allows qemu no jail here
	// called before each step, with its name; an error ends the call as a kill would. nil but in
	// tests
	step func(string) error

	accel     acceleration
	rehearser rehearser
	templates templates
	images    images
	entrance  entrance
	launcher  launcher
}

// acceleration is what this machine's qemu and kernel can do.
type acceleration struct{ p *Provider }

// rehearser boots machines that are to be resumed later, while nobody waits.
type rehearser struct{ p *Provider }

// templates are the machines that were saved when they were ready. Others are copies of them.
type templates struct{ p *Provider }

// images are the disks that machines start from.
type images struct{ p *Provider }

// entrance is the way into a machine.
type entrance struct{ p *Provider }

// launcher starts qemu for a machine.
type launcher struct{ p *Provider }

// assemble gives a provider its parts, each of which knows it.
func (p *Provider) assemble() {
	p.accel.p, p.rehearser.p, p.templates.p = p, p, p
	p.images.p, p.entrance.p, p.launcher.p = p, p, p
}

var (
	_ provider.Cleaner     = (*Provider)(nil)
	_ provider.Checker     = (*Provider)(nil)
	_ provider.Consoler    = (*Provider)(nil)
	_ provider.Snapshotter = (*Provider)(nil)
)

// open returns the provider for one source. ErrInvalid: the options are wrong. Create is the first
// to look for qemu and the image, so that instances can be destroyed without them.
func open(_ context.Context, log *slog.Logger, o options) (*Provider, error) {
	fail := func(hint, text string, args ...any) (*Provider, error) {
		return nil, &compute.Error{
			Op: "vm.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf(text, args...),
			Hint: hint,
		}
	}
	if err := o.read(); err != nil {
		return fail(compute.Hint(err), "%w", err)
	}
	if o.Dir == "" {
		return fail("", "no directory to keep instances in")
	}
	o.Memory &^= 1<<20 - 1
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fail("", "%w", err)
	}
	o.Dir = dir
	p := &Provider{o: o, log: log, rehearsals: newRehearsals(), tickRate: sync.OnceValue(ticks.Rate)}
	p.assemble()
	p.homes = p.keep()
	return p, nil
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
	var e *compute.Error
	if err == nil || errors.As(err, &e) {
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
	case instancedirs.Full(err):
		kind = compute.ErrNoCapacity
	case errors.Is(err, fs.ErrPermission):
		kind = compute.ErrDenied
	}
	return &compute.Error{Op: "vm." + op, ID: id, Kind: kind, Err: err}
}

// place refuses a directory of instances that other users may write to.
func (p *Provider) place() error {
	var st unix.Stat_t
	if err := unix.Lstat(p.o.Dir, &st); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is made where it is needed
		}
		return fault("Open", "", err)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &compute.Error{Op: "vm.Open", Kind: compute.ErrDenied, Err: fmt.Errorf("%s is not a directory of ours alone", p.o.Dir)}
	}
	return nil
}

// qemu finds the program.
func (p *Provider) qemu() (string, error) {
	name := cmp.Or(
		p.o.Qemu, map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[runtime.GOARCH],
		"qemu-system-"+runtime.GOARCH,
	)
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &compute.Error{Op: "vm.Create", Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s is not installed here", name),
			Hint: "install qemu (on Debian the package qemu-system-x86), or set qemu to the path of the program"}
	}
	return filepath.Abs(path)
}

func (p *Provider) instance(o instanceRecord) compute.Instance {
	facts := map[string]string{
		"os": "linux", "arch": runtime.GOARCH, "image": cmp.Or(o.From, o.Image), "cores": strconv.Itoa(o.Cores),
		"memory": strconv.FormatInt(o.Memory, 10),
		"disk":   strconv.FormatInt(o.Disk, 10),
	}
	if o.Accel != "" {
		facts["accel"] = o.Accel
	}
	if len(o.Ports) > 0 {
		facts["ports"] = strings.Join(o.Ports, " ")
	}
	address := ""
	if p.o.Network == "user" {
		address = "127.0.0.1"
	}
	return compute.Instance{ID: compute.ID(o.ID), Source: p.o.Source, ProviderID: o.UUID, Address: address, Facts: facts}
}

// List returns this installation's machines of this source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault("List", "", err)
	}
	if err := p.place(); err != nil {
		return nil, err
	}
	all, err := p.homes.List()
	var out []compute.Instance
	for _, own := range all {
		out = append(out, p.instance(own))
		if own.Stage == restored || own.Stage == awake {
			p.rehearser.later(own, adoption)
		}
	}
	return out, fault("List", "", err)
}

// Create makes a machine and starts it, finishes one that was begun, or returns the existing one.
// With warm = yes the first one takes as long as the machine boots, and a little more.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	none := compute.Instance{}
	if !instancedirs.Plain(spec.ID) {
		return none, &compute.Error{Op: "vm.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name for a directory")}
	}
	if err := p.place(); err != nil {
		return none, err
	}
	// old remains only: a new instance does not wait for another's deletion
	p.homes.Sweep(ctx, 10*time.Minute)
	in, err := p.create(ctx, spec)
	return in, fault("Create", spec.ID, err)
}

func (p *Provider) create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	none := compute.Instance{}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if most := p.homes.Space(); most > 0 && spec.Disk > most {
		return none, &compute.Error{
			Op: "vm.Create", ID: spec.ID, Kind: compute.ErrTooLarge, Hint: "ask for less, or another source",
			Err: fmt.Errorf("the file system has %d MiB: no %d MiB of disk", most>>20, spec.Disk>>20),
		}
	}
	if err := room(spec); err != nil {
		return none, err
	}
	own := instanceRecord{
		Owner: p.homes.Owner(spec.ID), UUID: newUUID(), Kernel: p.o.Kernel, Initrd: p.o.Initrd,
		Cores: max(p.o.Cores, spec.Cores), Memory: max(p.o.Memory, (spec.Memory+1<<20-1)&^(1<<20-1)), Disk: max(p.o.Disk, spec.Disk),
	}
	switch name := p.images.imageName(spec.Image); {
	case filepath.IsAbs(name):
		own.Image = name
	case name == "":
		return none, &compute.Error{Op: "vm.Create", ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("no image is named"),
			Hint: "set image to the absolute path of a qcow2 or raw disk, or to the name of an image with one"}
	default:
		own.From = name
	}
	l, own, err := p.homes.Make(ctx, own)
	if err != nil {
		return none, err
	}
	defer l.Close()
	if err := p.images.takeImage(ctx, &own); err != nil {
		return none, err
	}
	if err := p.launcher.up(ctx, &own); err != nil {
		return none, err
	}
	if own.Stage == restored {
		p.rehearser.later(own, breath)
	}
	return p.instance(own), nil
}

// Destroy ends a machine, at once, and deletes what there is of it.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	l, own, err := p.rehearser.lock(ctx, id)
	if err != nil {
		if errors.Is(err, instancedirs.ErrNone) {
			p.homes.Sweep(ctx, 0) // a Destroy of before may have died over it
		}
		return fault("Destroy", id, err)
	}
	defer l.Close()
	if err := p.end(ctx, own); err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.at("trash"); err != nil {
		return err
	}
	if _, err := p.homes.Throw(p.home(id)); err != nil {
		return fault("Destroy", id, err)
	}
	if err := p.at("delete"); err != nil {
		return err
	}
	p.forget(ctx)
	p.homes.Sweep(ctx, 0)
	return nil
}

// forget removes the directory of instances, when it is empty.
func (p *Provider) forget(ctx context.Context) {
	if os.Remove(filepath.Join(p.o.Dir, "instances")) == nil {
		p.leaveGroups(ctx)
	}
}

// Clean ends a machine and makes it anew on a new disk layer. With warm = yes it is a copy of the
// saved machine, else it boots.
func (p *Provider) Clean(ctx context.Context, id compute.ID) (string, error) {
	l, own, err := p.rehearser.lock(ctx, id)
	if err != nil {
		return "", fault("Clean", id, err)
	}
	defer l.Close()
	if err := p.at("end"); err != nil {
		return "", err
	}
	if err := p.end(ctx, own); err != nil {
		return "", fault("Clean", id, err)
	}
	if err := p.at("drop"); err != nil {
		return "", err
	}
	own.Process = proc.Process{}
	own.UUID = newUUID()
	if err := p.record(&own, begun); err != nil { // from now on its disk counts as not made
		return "", fault("Clean", id, err)
	}
	if err := p.launcher.up(ctx, &own); err != nil {
		return "", fault("Clean", id, err)
	}
	if own.Stage == restored {
		p.rehearser.later(own, breath)
	}
	if own.Template != "" {
		return "its qemu ended, memory and disk restored from the machine saved as " + own.Template[:12], nil
	}
	return "its qemu ended, booted on a new disk layer over " + cmp.Or(own.From, own.Image), nil
}

// end ends all that runs of an instance.
func (p *Provider) end(ctx context.Context, own instanceRecord) error {
	if err := own.Process.Kill(ctx); err != nil {
		return err
	}
	mark := p.mark(compute.ID(own.ID))
	// it is unknown which processes started, or which make an image of it
	if own.Stage == starting || own.Stage == begun || own.Stage == stopped {
		if err := strays(ctx, mark); err != nil {
			return err
		}
	}
	return p.ungroup(ctx, mark)
}
