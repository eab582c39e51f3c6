package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/qcow"
	"github.com/hostler-project/hostler/provider/vm/qemu"
	"github.com/hostler-project/hostler/provider/vm/qmp"
)

// Limits for making one disk: how long it may take, and how much memory qemu has for it beside its
// own.
const (
	flattenLimit  = 2 * time.Hour
	flattenMemory = 128 << 20
)

// flatten makes one disk of the layers of a disk, the lowest first. It becomes the only file in
// tree. The layers' headers count for nothing: a guest may have written anything there. So they are
// read by a qemu without a machine, in the same jail as one with a machine.
func (p *images) flatten(ctx context.Context, own *instanceRecord, layers []qemu.Layer, tree string) error {
	for _, l := range layers {
		if _, outside, err := qcow.Leads(l.Path); err != nil {
			return err
		} else if outside {
			return errContent
		}
	}
	top, err := qcow.Inspect(layers[len(layers)-1].Path)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(tree); err != nil { // left by a process that was killed
		return err
	}
	if err := os.MkdirAll(filepath.Join(tree, diskDir), 0o755); err != nil {
		return err
	}
	to := filepath.Join(tree, diskDir, "disk.qcow2")
	if err := qcow.Overlay(to, "", qcow.Disk{}, top.Size); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flattenLimit)
	defer cancel()
	if err := p.mirror(ctx, own, layers, to); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		kind := compute.ErrFailed
		if strings.Contains(err.Error(), "No space left") {
			kind = compute.ErrNoCapacity
		}
		return &compute.Error{Kind: kind, Err: fmt.Errorf("make one disk of its layers: %w", err)}
	}
	return os.Chmod(to, 0o644)
}

// mirror has a qemu copy the layers, as one, to a disk of their size.
func (p *images) mirror(ctx context.Context, own *instanceRecord, layers []qemu.Layer, to string) (err error) {
	q, err := p.p.accel.program(ctx)
	if err != nil {
		return err
	}
	mark := p.p.mark(compute.ID(own.ID))
	h := &qemu.Handed{Dir: p.p.home(compute.ID(own.ID))}
	defer h.Close()
	from := h.Below(layers)
	h.Disk("target", to, os.O_RDWR, map[string]any{"driver": "qcow2", "discard": "unmap", "detect-zeroes": "unmap"}, nil)
	h.Monitor()
	args := []string{"-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"}
	if q.Sandbox {
		args = append(args, "-sandbox", seccomp)
	}
	run, err := p.p.launcher.launch(ctx, &cell{q: q, mark: mark, handed: h, args: append(args, h.Args...), cores: 1, memory: flattenMemory})
	if err != nil {
		return err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, run.Kill(ctx), p.p.ungroup(ctx, mark))
	}()
	m, err := qmp.Open(ctx, h.Dir)
	if err != nil {
		return err
	}
	defer m.Close()
	m.Patience(ctx, flattenLimit)
	job := map[string]any{"job-id": "copy", "device": from, "target": "target", "sync": "full", "auto-dismiss": false}
	if err := m.Do(ctx, "blockdev-mirror", job, nil); err != nil {
		return err
	}
	if err := m.AwaitCopy(ctx, "copy"); err != nil {
		return err
	}
	// this writes what it still holds
	return m.Do(ctx, "blockdev-del", map[string]any{"node-name": "target"}, nil)
}
