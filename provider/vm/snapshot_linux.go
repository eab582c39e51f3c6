package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/proc"
)

// parting is what a machine does before an image is made of its disk: what tells it from others goes, as nobody can take it out of the disk afterwards. Its name is set
// at each start, and its list of hosts is everybody's.
const parting = `set -e
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed
test ! -e /etc/machine-id || : >/etc/machine-id
test -L /var/lib/dbus/machine-id || rm -f /var/lib/dbus/machine-id
find /tmp -xdev -mindepth 1 -delete 2>/dev/null || :
sync`

// asRoot runs a script as root, by sudo where one is not.
const asRoot = `test "$(id -u)" = 0 && exec sh -c "$1"; exec sudo -n sh -c "$1"`

// converter is qemu-img, which makes one disk of an instance's layers.
func converter() (string, error) {
	path, err := exec.LookPath("qemu-img")
	if err != nil {
		return "", &compute.Error{Op: "vm.Snapshot", Kind: compute.ErrUnavailable, Err: errors.New("qemu-img is not installed here, which images of machines are made with"),
			Hint: "install it (on Debian the package qemu-utils)"}
	}
	return path, nil
}

// Snapshot makes an image of a machine's disk, by itself, with nothing below it. The machine is told to forget who it is, and ends: as when its power is cut, with all
// that it had to write written.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec compute.ImageSpec) (string, error) {
	name, err := p.snapshot(ctx, id, spec)
	return name, fault("Snapshot", id, err)
}

func (p *Provider) snapshot(ctx context.Context, id compute.ID, spec compute.ImageSpec) (string, error) {
	convert, err := converter()
	if err != nil {
		return "", err
	}
	store, err := p.store()
	if err != nil {
		return "", err
	}
	own, err := p.homes.Read(id)
	if err != nil {
		return "", err
	}
	if !own.Parted { // else it was done before a death
		if err := p.part(ctx, id); err != nil {
			return "", err
		}
	}
	l, own, err := p.lock(ctx, id)
	if err != nil {
		return "", err
	}
	defer l.Close()
	if err := p.at("end"); err != nil {
		return "", err
	}
	if err := p.end(ctx, own); err != nil {
		return "", err
	}
	own.Process, own.Parted = proc.Process{}, true
	if err := p.record(&own, stopped); err != nil {
		return "", err
	}
	if err := p.at("flatten"); err != nil {
		return "", err
	}
	tree := filepath.Join(p.home(id), "snapshot")
	defer func() { _ = os.RemoveAll(tree) }()
	below, err := p.layers(&own)
	if err != nil {
		return "", err
	}
	if err := flatten(ctx, convert, append(below, layer{filepath.Join(p.home(id), "disk.qcow2"), "qcow2"}), tree); err != nil {
		return "", err
	}
	if err := p.at("commit"); err != nil {
		return "", err
	}
	img, err := store.Commit(ctx, image.Change{Dir: tree, Labels: spec.Labels}, spec.Name)
	return img.Name, err
}

// part has a machine forget who it is, and write what it has.
func (p *Provider) part(ctx context.Context, id compute.ID) error {
	c, err := p.Connect(ctx, id)
	if err != nil {
		return err
	}
	defer c.Close()
	var said bytes.Buffer
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"sh", "-c", asRoot, "sh", parting}, Stdout: &said, Stderr: &said})
	if err != nil {
		return err
	}
	if exit.Status() != 0 {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("it does not forget who it is: status %d: %s", exit.Status(), strings.TrimSpace(said.String())),
			Hint: "commands have to run as root in it, or as one who may use sudo without a password"}
	}
	return nil
}

// flatten makes one disk, in the directory of a tree that it is the only file of, of the layers of one, the lowest first. What their headers name
// counts for nothing, as in disks.
func flatten(ctx context.Context, convert string, layers []layer, tree string) error {
	var disk map[string]any
	for _, l := range layers {
		if _, outside, err := leads(l.path); err != nil {
			return err
		} else if outside {
			return errContent
		}
		over := map[string]any{"driver": l.format, "file": map[string]any{"driver": driver(l.path), "filename": l.path}}
		if l.format == "qcow2" {
			over["backing"] = disk
		}
		disk = over
	}
	words, err := json.Marshal(disk)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(tree); err != nil { // of one who died over it
		return err
	}
	if err := os.MkdirAll(filepath.Join(tree, diskDir), 0o755); err != nil {
		return err
	}
	to := filepath.Join(tree, diskDir, "disk.qcow2")
	cmd := exec.CommandContext(ctx, convert, "convert", "-O", "qcow2", "json:"+string(words), to)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		text := strings.Join(strings.Fields(said.String()), " ")
		kind := compute.ErrFailed
		if strings.Contains(text, "No space left") {
			kind = compute.ErrNoCapacity
		}
		return &compute.Error{Kind: kind, Err: fmt.Errorf("make one disk of its layers: %w: %s", err, text)}
	}
	return os.Chmod(to, 0o644)
}
