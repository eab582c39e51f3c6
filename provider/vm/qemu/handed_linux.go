package qemu

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
	"github.com/hostler-project/hostler/provider/vm/jail"
)

// Layer is a disk below an instance's own.
type Layer struct{ Path, Format string }

// QCOW2 returns a layer in the format of our own.
func QCOW2(path string) Layer { return Layer{path, "qcow2"} }

// Handed are what a qemu gets of this machine: open files, which it knows by their numbers, and the
// files in its root.
type Handed struct {
	Dir   string // of the instance
	Files []*os.File
	Shown []jail.Mount
	Args  []string
	Err   error // the first
}

// Close closes our own copies.
func (h *Handed) Close() {
	for _, f := range h.Files {
		_ = f.Close()
	}
}

// take hands over a file, and returns the number that qemu has for it.
func (h *Handed) take(f *os.File, err error) string {
	if h.Err == nil {
		h.Err = err
	}
	if err != nil {
		return "-1"
	}
	h.Files = append(h.Files, f)
	return strconv.Itoa(jail.FirstFD + len(h.Files) - 1)
}

// File hands over a file where qemu wants a name of one, and returns that.
func (h *Handed) File(path string, flags int) string {
	n := h.take(os.OpenFile(path, flags|unix.O_CLOEXEC, 0o600))
	h.Args = append(h.Args, "-add-fd", "fd="+n+",set="+n)
	return "/dev/fdset/" + n
}

// Show makes a file appear at the same place in qemu's root.
func (h *Handed) Show(path string, write bool) string {
	h.Shown = append(h.Shown, jail.Mount{Path: path, Write: write})
	return path
}

// listen hands over a socket in the instance's directory for connections from us.
func (h *Handed) listen(name string) string { return h.take(listen(h.Dir, name)) }

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

// Disks lists the machine's disks for qemu: its own over those below it, and the seed. The disks
// that a disk's own header names count for nothing: a guest with control of qemu could have written
// any path there.
func (h *Handed) Disks(seed string, layers []Layer) {
	below := h.Below(layers)
	// Nothing is flushed: when this machine crashes, the instance is gone anyway.
	h.Disk(
		"disk", filepath.Join(h.Dir, "disk.qcow2"), os.O_RDWR,
		map[string]any{"driver": "qcow2", "discard": "unmap", "cache": map[string]any{"no-flush": true}}, below,
	)
	h.Disk("seed", seed, os.O_RDONLY, map[string]any{"driver": "raw", "read-only": true}, nil)
}

// Below describes disks that lie over each other and are only read, the lowest first. It returns
// the name of the highest; nil: there is none.
func (h *Handed) Below(layers []Layer) (top any) {
	for i, l := range layers {
		name := "below" + strconv.Itoa(i)
		h.Disk(name, l.Path, os.O_RDONLY, map[string]any{"driver": l.Format, "read-only": true}, top)
		top = name
	}
	return top
}

// Throttle limits what a machine reads and writes of its disks, and returns the nodes for its
// devices. qemu counts above the layers. So the limit holds without a control group too, and for
// later writes of the kernel.
func (h *Handed) Throttle(bytes, operations int64) (disk, seed string) {
	limits := map[string]any{}
	if bytes > 0 {
		limits["bps-total"] = bytes
	}
	if operations > 0 {
		limits["iops-total"] = operations
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
func (h *Handed) say(option string, value map[string]any) {
	b, err := json.Marshal(value)
	if err != nil && h.Err == nil {
		h.Err = err
	}
	h.Args = append(h.Args, option, string(b))
}

// Disk describes one disk to qemu.
func (h *Handed) Disk(name, path string, flags int, format map[string]any, below any) {
	file := map[string]any{"driver": driver(path), "node-name": name + "-file", "filename": h.File(path, flags)}
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

// Lines hands over the ports of the agent, the console and qemu's monitor.
func (h *Handed) Lines() {
	for n := range guest.Ports {
		h.Args = append(h.Args, "-chardev", fmt.Sprintf(
			"socket,id=agent%d,fd=%s,server=on,wait=off", n, h.listen(fmt.Sprintf("agent.%d", n)),
		),
			"-device", fmt.Sprintf("virtserialport,chardev=agent%d,name=%s", n, guest.PortName(n)))
	}
	console := h.File(filepath.Join(h.Dir, "console.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	h.Args = append(h.Args, "-chardev", "file,id=console,path="+console+",append=on", "-serial", "chardev:console")
	h.Monitor()
}

// Monitor describes the socket by which we control qemu.
func (h *Handed) Monitor() {
	h.Args = append(h.Args, "-chardev", "socket,id=qmp,fd="+h.listen("qmp")+",server=on,wait=off", "-mon", "chardev=qmp,mode=control")
}

// Tap hands over a link that the user has made.
func (h *Handed) Tap(link string) string {
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
