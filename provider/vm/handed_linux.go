package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/initrd"
	"github.com/hostler-project/hostler/provider/vm/jail"
	"github.com/hostler-project/hostler/provider/vm/qcow"
)

// layer is a disk below an instance's own.
type layer struct{ path, format string }

// handed are what a qemu gets of this machine: open files, which it knows by their numbers, and the
// files in its root.
type handed struct {
	dir   string // of the instance
	files []*os.File
	shown []jail.Mount
	args  []string
	err   error // the first
}

// close closes our own copies.
func (h *handed) close() {
	for _, f := range h.files {
		_ = f.Close()
	}
}

// take hands over a file, and returns the number that qemu has for it.
func (h *handed) take(f *os.File, err error) string {
	if h.err == nil {
		h.err = err
	}
	if err != nil {
		return "-1"
	}
	h.files = append(h.files, f)
	return strconv.Itoa(jail.FirstFD + len(h.files) - 1)
}

// file hands over a file where qemu wants a name of one, and returns that.
func (h *handed) file(path string, flags int) string {
	n := h.take(os.OpenFile(path, flags|unix.O_CLOEXEC, 0o600))
	h.args = append(h.args, "-add-fd", "fd="+n+",set="+n)
	return "/dev/fdset/" + n
}

// show makes a file appear at the same place in qemu's root.
func (h *handed) show(path string, write bool) string {
	h.shown = append(h.shown, jail.Mount{Path: path, Write: write})
	return path
}

// listen hands over a socket in the instance's directory for connections from us.
func (h *handed) listen(name string) string { return h.take(listen(h.dir, name)) }

// listen makes a socket in a directory, by a descriptor of the directory: the kernel takes at most
// 107 bytes of a path.
func listen(dir, name string) (*os.File, error) {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(d)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err = unix.Fchmod(fd, 0o600); err == nil {
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", d, name)}); err == nil {
			err = unix.Listen(fd, 1)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("socket %s: %w", name, err)
	}
	return f, nil
}

// disks lists the machine's disks for qemu: its own over those below it, and the seed. The disks
// that a disk's own header names count for nothing: a guest with control of qemu could have written
// any path there.
func (h *handed) disks(m machine) {
	below := h.below(m.below)
	// Nothing is flushed: when this machine crashes, the instance is gone anyway.
	h.disk(
		"disk", filepath.Join(h.dir, "disk.qcow2"), os.O_RDWR,
		map[string]any{"driver": "qcow2", "discard": "unmap", "cache": map[string]any{"no-flush": true}}, below,
	)
	h.disk("seed", m.seed, os.O_RDONLY, map[string]any{"driver": "raw", "read-only": true}, nil)
}

// below describes disks that lie over each other and are only read, the lowest first. It returns
// the name of the highest; nil: there is none.
func (h *handed) below(layers []layer) (top any) {
	for i, l := range layers {
		name := "below" + strconv.Itoa(i)
		h.disk(name, l.path, os.O_RDONLY, map[string]any{"driver": l.format, "read-only": true}, top)
		top = name
	}
	return top
}

// throttle limits what a machine reads and writes of its disks, and returns the nodes for its
// devices. qemu counts above the layers. So the limit holds without a control group too, and for
// later writes of the kernel.
func (h *handed) throttle(o Options) (disk, seed string) {
	limits := map[string]any{}
	if o.IO > 0 {
		limits["bps-total"] = o.IO
	}
	if o.IOPS > 0 {
		limits["iops-total"] = o.IOPS
	}
	if len(limits) == 0 {
		return "disk", "seed"
	}
	h.say("-object", map[string]any{"qom-type": "throttle-group", "id": "io", "limits": limits})
	for _, name := range []string{"disk", "seed"} { // one group: the limit is of both together
		h.say(
			"-blockdev",
			map[string]any{
				"driver": "throttle", "node-name": name + "-io", "throttle-group": "io", "file": name,
				"read-only": name == "seed",
			},
		)
	}
	return "disk-io", "seed-io"
}

// say adds an option whose value is JSON.
func (h *handed) say(option string, value map[string]any) {
	b, err := json.Marshal(value)
	if err != nil && h.err == nil {
		h.err = err
	}
	h.args = append(h.args, option, string(b))
}

// disk describes one disk to qemu.
func (h *handed) disk(name, path string, flags int, format map[string]any, below any) {
	file := map[string]any{"driver": driver(path), "node-name": name + "-file", "filename": h.file(path, flags)}
	for _, key := range []string{"read-only", "discard", "cache"} {
		if v, ok := format[key]; ok {
			file[key] = v
		}
	}
	format["node-name"], format["file"] = name, name+"-file"
	if format["driver"] == "qcow2" {
		format["backing"] = below
	}
	for _, node := range []map[string]any{file, format} {
		h.say("-blockdev", node)
	}
}

// driver returns qemu's driver for a file or a device.
func driver(path string) string {
	if fi, err := os.Stat(path); err == nil && fi.Mode()&os.ModeDevice != 0 {
		return "host_device"
	}
	return "file"
}

// lines hands over the ports of the agent, the console and qemu's monitor.
func (h *handed) lines() {
	for n := range guest.Ports {
		h.args = append(h.args, "-chardev", fmt.Sprintf(
			"socket,id=agent%d,fd=%s,server=on,wait=off", n, h.listen(fmt.Sprintf("agent.%d", n)),
		),
			"-device", fmt.Sprintf("virtserialport,chardev=agent%d,name=%s", n, guest.PortName(n)))
	}
	console := h.file(filepath.Join(h.dir, "console.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	h.args = append(h.args, "-chardev", "file,id=console,path="+console+",append=on", "-serial", "chardev:console")
	h.monitor()
}

// monitor describes the socket by which we control qemu.
func (h *handed) monitor() {
	h.args = append(h.args, "-chardev", "socket,id=qmp,fd="+h.listen("qmp")+",server=on,wait=off", "-mon", "chardev=qmp,mode=control")
}

// tap hands over a link that the user has made.
func (h *handed) tap(link string) string {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err == nil {
		var req struct {
			name  [unix.IFNAMSIZ]byte
			flags uint16
			_     [22]byte
		}
		copy(req.name[:unix.IFNAMSIZ-1], link)
		req.flags = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); errno != 0 {
			_ = f.Close()
			f, err = nil, fmt.Errorf("link %s: %w", link, errno)
		}
	}
	return h.take(f, err)
}

// layers lists the disks below an instance's own, the lowest first. An image has no other below it:
// alone refuses that.
func (p *images) layers(own *owner) ([]layer, error) {
	below, err := qcow.Inspect(own.Image)
	if err == nil {
		err = alone(own.Image)
	}
	if err != nil {
		return nil, imageError("image", own.Image, err)
	}
	all := []layer{{own.Image, below.Format}}
	if own.Template != "" {
		all = append(all, layer{filepath.Join(p.p.o.Dir, "templates", own.Template, "disk.qcow2"), "qcow2"})
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
