package agentcmd

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

func dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// openDevice opens a character device, as raw as a terminal can be, and asks for a signal when
// somebody comes or goes at its other end.
func openDevice(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	_ = raw.Control(func(fd uintptr) {
		if t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
			t.Iflag, t.Oflag, t.Lflag = t.Iflag&^(unix.IGNBRK|unix.BRKINT|unix.PARMRK|unix.ISTRIP|unix.INLCR|unix.IGNCR|unix.ICRNL|unix.IXON), t.Oflag&^unix.OPOST,
				t.Lflag&^(unix.ECHO|unix.ECHONL|unix.ICANON|unix.ISIG|unix.IEXTEN)
			t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
			t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
			_ = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
		}
		// Devices without this are looked at now and then.
		if _, err := unix.FcntlInt(fd, unix.F_SETOWN, os.Getpid()); err == nil {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil {
				_, _ = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
			}
		}
	})
	return f, nil
}

// vsock is a listening socket of the address family between a virtual machine and its host, which
// package net does not have.
type vsock struct{ f *os.File }

// listenVsock listens on a port of AF_VSOCK, for any CID.
func listenVsock(port uint32) (Place, error) {
	fail := func(err error) (Place, error) {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: os.NewSyscallError("vsock", err)}
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fail(err)
	}
	if err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fail(err)
	}
	return vsock{os.NewFile(uintptr(fd), "vsock")}, nil
}

func (v vsock) Accept() (io.ReadWriteCloser, error) {
	raw, err := v.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	rerr := raw.Read(func(l uintptr) bool {
		fd, _, err = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return err != unix.EAGAIN
	})
	if rerr != nil {
		return nil, rerr
	}
	if err != nil {
		return nil, os.NewSyscallError("accept", err)
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

func (v vsock) Close() error { return v.f.Close() }
