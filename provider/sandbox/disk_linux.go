package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/volume"
)

// A limit on the disk is a file system of that size, in a sparse file for each sandbox, on a loop
// device. The kernel frees the device when its last mount goes.

// layer makes the directory that the sandbox's writes go to, with upper = disk.
func (m *making) layer(ctx context.Context) (enter.Tree, error) {
	p := m.p
	if p.o.Upper != "disk" {
		return enter.Tree{}, nil
	}
	home := p.home(compute.ID(m.own.ID))
	if size := p.groups.disk(m.own); size > 0 {
		return m.volume(ctx, filepath.Join(home, "layer"), size)
	}
	dir := filepath.Join(home, "layer")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return enter.Tree{}, err
	}
	if !p.root {
		return enter.Tree{Path: dir}, nil
	}
	if err := os.Chown(dir, m.users, m.users); err != nil {
		return enter.Tree{}, err
	}
	// Its files keep the numbers of the sandbox's users: a set-uid program in it is nobody's.
	return m.t.mount(dir, &unix.MountAttr{Propagation: unix.MS_PRIVATE}, 0)
}

// volume makes a file system of a size in a file, and mounts it out of sight.
func (m *making) volume(ctx context.Context, file string, size int64) (enter.Tree, error) {
	master, err := volume.Master(ctx, m.p.o.Dir, size)
	if err != nil {
		return enter.Tree{}, err
	}
	if err := volume.Copy(master, file); err != nil {
		return enter.Tree{}, err
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return enter.Tree{}, err
	}
	defer f.Close()
	device, err := volume.Loop(f)
	if err != nil {
		return enter.Tree{}, &compute.Error{
			Kind: compute.ErrUnavailable, Err: fmt.Errorf("a loop device for its disk: %w", err),
			Hint: "modprobe loop; or leave disk away, or set upper = ram",
		}
	}
	defer device.Close()
	fd, err := volume.Mount(device.Name())
	if err != nil {
		return enter.Tree{}, fmt.Errorf("mount its disk: %w", err)
	}
	m.t.fds = append(m.t.fds, fd)
	if err := unix.Fchownat(fd, "", m.users, m.users, unix.AT_EMPTY_PATH); err != nil {
		return enter.Tree{}, err
	}
	return enter.Tree{FD: len(m.t.fds)}, nil
}
