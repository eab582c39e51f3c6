package guest

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// port is an open virtio-serial port. Its Read returns EOF when nobody is at the other end.
type port struct {
	f *os.File
	// the client was seen to go: nothing is written any more, as a write would wait for the next
	// client
	gone atomic.Bool
}

// openPort opens a port for this process alone. The kernel discards what an earlier client had
// sent.
func openPort(dev int, name string) (*port, error) {
	fd, err := unix.Openat(dev, name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &port{f: os.NewFile(uintptr(fd), name)}, nil
}

// await waits until there is a client.
func (p *port) await() error {
	raw, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	for {
		// The kernel wakes waiting writers when a client comes. The deadline is for kernels that
		// forget it.
		_ = p.f.SetWriteDeadline(time.Now().Add(time.Second))
		err := raw.Write(func(fd uintptr) bool {
			ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			_, err := unix.Poll(ready, 0)
			return err == nil && ready[0].Revents&unix.POLLHUP == 0
		})
		if err == nil {
			return p.f.SetWriteDeadline(time.Time{})
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// Read reads, or finds that the client is gone.
func (p *port) Read(b []byte) (int, error) {
	n, err := p.f.Read(b)
	if err != nil {
		p.gone.Store(true)
		// a writer would wait for the next client
		_ = p.f.SetWriteDeadline(time.Unix(1, 0))
	}
	return n, err
}

// Write writes, unless the client is gone.
func (p *port) Write(b []byte) (int, error) {
	if p.gone.Load() {
		return 0, io.ErrClosedPipe
	}
	return p.f.Write(b)
}

// Close ends the conversation.
func (p *port) Close() error { return p.f.Close() }

// devices are descriptors of a sysfs and a devtmpfs, which may be mounted nowhere below the
// machine's own root.
type devices struct{ sys, dev int }

// find returns the device names of the ports for the agent, by number, as far as they are there.
func (d devices) find() map[int]string {
	out := map[int]string{}
	fd, err := unix.Openat(d.sys, "class/virtio-ports", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return out
	}
	dir := os.NewFile(uintptr(fd), "virtio-ports")
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		is, err := readAt(fd, name+"/name")
		if err != nil {
			continue
		}
		for n := range Ports {
			if strings.TrimSpace(string(is)) == PortName(n) {
				out[n] = name
			}
		}
	}
	return out
}

// readAt reads a small file below a directory.
func readAt(dir int, name string) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}
