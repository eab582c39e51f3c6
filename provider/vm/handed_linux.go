package vm

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/provider/vm/initrd"
	"github.com/hostler-project/hostler/provider/vm/qcow"
	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// layers lists the disks below an instance's own, the lowest first. An image has no other below it:
// alone refuses that.
func (p *images) layers(own *instanceRecord) ([]qemu.Layer, error) {
	below, err := qcow.Inspect(own.Image)
	if err == nil {
		err = alone(own.Image)
	}
	if err != nil {
		return nil, imageError("image", own.Image, err)
	}
	all := []qemu.Layer{{Path: own.Image, Format: below.Format}}
	if own.Template != "" {
		all = append(all, qemu.QCOW2(filepath.Join(p.p.o.Dir, "templates", own.Template, "disk.qcow2")))
	}
	return all, nil
}

// readable returns a file that qemu's own user may read: some systems' kernels are for root alone.
// It makes a copy if need be, in a directory that no other user can enter.
func (p *images) readable(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil || path == "" || fi.Mode()&0o004 != 0 || os.Geteuid() != 0 {
		return path, err
	}
	key, err := digest(1, path)
	if err != nil {
		return "", err
	}
	at := filepath.Join(p.p.o.Dir, "boot", key)
	if _, err := os.Stat(at); err == nil {
		return at, nil
	}
	return at, initrd.Atomically(at, func(name string) error {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
		return errors.Join(err, os.Chmod(name, 0o644))
	})
}
