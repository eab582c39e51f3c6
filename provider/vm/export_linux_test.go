package vm

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/vm/qcow"
	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// ErrKilled ends a call at a step as a kill would.
var ErrKilled = errKilled

// SetStep has f told of each step before it is done. Nothing is rehearsed behind it any more.
func (p *Provider) SetStep(f func(step string) error) {
	_ = p.Close()
	p.step = f
}

// Rehearse rehearses a machine.
func (p *Provider) Rehearse(ctx context.Context, id compute.ID) error {
	own, err := p.homes.Read(id)
	if err != nil {
		return err
	}
	return p.rehearser.rehearse(ctx, id, own.UUID)
}

// PID returns the number of an instance's qemu, and its stage.
func (p *Provider) PID(id compute.ID) (int, string) {
	own, _ := p.homes.Read(id)
	return own.PID, string(own.Stage)
}

// State is what qemu says of an instance's machine.
func (p *Provider) State(ctx context.Context, id compute.ID) (string, error) {
	m, err := p.monitor(ctx, id)
	if err != nil {
		return "", err
	}
	defer m.Close()
	return m.Status(ctx)
}

// Ask has an instance's qemu execute a command of its monitor, and decodes the answer.
func (p *Provider) Ask(ctx context.Context, id compute.ID, command string, args, out any) error {
	m, err := p.monitor(ctx, id)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Do(ctx, command, args, out)
}

// Flatten makes one disk of an image and an instance's own layer, and returns where.
func (p *Provider) Flatten(ctx context.Context, id compute.ID) (string, error) {
	own, err := p.homes.Read(id)
	if err != nil {
		return "", err
	}
	below, err := p.images.layers(&own)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(p.home(id), "snapshot")
	return filepath.Join(tree, diskDir, "disk.qcow2"),
		p.images.flatten(ctx, &own, append(below, qemu.QCOW2(filepath.Join(p.home(id), "disk.qcow2"))), tree)
}

// Home is an instance's directory.
func (p *Provider) Home(id compute.ID) string { return p.home(id) }

// Overlay writes a layer.
func Overlay(path, base string, size int64) error {
	below, err := qcow.Inspect(base)
	if err != nil {
		return err
	}
	return qcow.Overlay(path, base, below, size)
}

// Launch starts a qemu as instances' are, with a console and a monitor, and returns its number and
// what ends it.
func (p *Provider) Launch(ctx context.Context, dir, mark string, args []string) (int, func() error, error) {
	q, err := p.accel.program(ctx)
	if err != nil {
		return 0, nil, err
	}
	h := &qemu.Handed{Dir: dir}
	defer h.Close()
	h.Lines()
	run, err := p.launcher.launch(ctx, &cell{q: q, mark: mark, handed: h, args: append(args, h.Args...)})
	return run.PID, func() error {
		ctx := context.WithoutCancel(ctx)
		defer p.leaveGroups(ctx)
		return errors.Join(run.Kill(ctx), p.ungroup(ctx, mark))
	}, err
}

// Strays ends what has a mark.
func Strays(ctx context.Context, mark string) error { return strays(ctx, mark) }

// Marked tells how many processes have a mark.
func Marked(mark string) (int, error) {
	all, err := marked(mark)
	proc.Close(all)
	return len(all), err
}

// Finish writes what says that the machine saved in a directory is whole, and Whole reports whether
// it is.
func Finish(dir string) error {
	b, err := json.Marshal(saved{dir: dir}.extents())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "done"), b, 0o600)
}

func Whole(dir string) bool { return saved{dir: dir}.whole() }

// Bare has qemus start as where the kernel gives no name spaces.
func (p *Provider) Bare() { p.bare.Store(true) }

var (
	Open    = open
	Examine = examine
)

const Mark = markVariable

type Options = options
