package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// parting is what a machine runs before an image is made of its disk. It removes what tells the
// machine from others, as nobody can take that out of the disk afterwards. The name stays: it is
// set at each start, and the list of hosts is the same for all.
const parting = `set -e
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed
test ! -e /etc/machine-id || : >/etc/machine-id
test -L /var/lib/dbus/machine-id || rm -f /var/lib/dbus/machine-id
find /tmp -xdev -mindepth 1 -delete 2>/dev/null || :
sync`

// asRoot runs a script as root, by sudo for another user.
const asRoot = `test "$(id -u)" = 0 && exec sh -c "$1"; exec sudo -n sh -c "$1"`

// Snapshot makes an image of a machine's disk, by itself, with nothing below it. The machine gives
// up its identity, writes all that it has to write, and ends as when its power is cut.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	name, err := p.snapshot(ctx, id, spec)
	return name, fault("Snapshot", id, err)
}

func (p *Provider) snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	store, err := p.images.store()
	if err != nil {
		return "", err
	}
	own, err := p.homes.Read(id)
	if err != nil {
		return "", err
	}
	if !own.Parted { // else an earlier call did it and was killed
		if err := p.part(ctx, id); err != nil {
			return "", err
		}
	}
	l, own, err := p.rehearser.lock(ctx, id)
	if err != nil {
		return "", err
	}
	defer l.Close()
	if err := p.at("end"); err != nil {
		return "", err
	}
	if !own.Parted {
		if err := p.still(ctx, id); err != nil {
			return "", err
		}
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
	below, err := p.images.layers(&own)
	if err != nil {
		return "", err
	}
	if err := p.images.flatten(ctx, &own, append(below, qemu.QCOW2(filepath.Join(p.home(id), "disk.qcow2"))), tree); err != nil {
		return "", err
	}
	if err := p.at("commit"); err != nil {
		return "", err
	}
	img, err := store.Commit(ctx, image.Change{Dir: tree, Labels: spec.Labels}, spec.Name)
	return img.Name, err
}

// stillLimit is how long qemu may need to write what it holds: a disk that is busy with other
// machines is slow.
const stillLimit = 5 * time.Minute

// still halts a machine and has its qemu write to its disk's file all that it holds of it. The
// guest's sync is not enough. qemu keeps the tables of a qcow2 file in memory until it is told to
// flush, and a kernel may write after its last flush: sync(2) does on an ext4 without a journal.
// (QEMU flushes all disks at "stop".)
func (p *Provider) still(ctx context.Context, id compute.ID) error {
	m, err := p.monitor(ctx, id)
	if err != nil {
		return err
	}
	defer m.Close()
	m.Patience(ctx, stillLimit)
	return m.Do(ctx, "stop", nil, nil)
}

// part makes a machine give up its identity and write its files to its disk.
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
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf(
			"it does not forget who it is: status %d: %s", exit.Status(), strings.TrimSpace(said.String()),
		),
			Hint: "commands have to run as root in it, or as one who may use sudo without a password"}
	}
	return nil
}
