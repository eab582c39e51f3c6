package controller

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/socket"
)

// CannotListen is the error for an address that cannot be listened on.
func CannotListen(flag, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Conflict("end what listens there, or give another address", "%s %s: the address is in use", flag, addr)
	}
	return fault.Invalid("", "%s %s: %w", flag, addr, err)
}

// onlyController refuses a second controller on a state in a file, as both would direct and deliver
// webhooks. Controllers on a database coordinate.
func onlyController(h *host.Host) error {
	if _, ok := h.Store().(host.SharedStore); ok {
		return nil
	}
	state, err := host.StateDir()
	if err != nil {
		return err
	}
	ok, err := h.OnlyOne(filepath.Join(state, "controller.lock"))
	if err == nil && !ok {
		err = fault.Conflict(
			"stop it first; several controllers at a time want a database: docs/postgres.md",
			"a controller serves the state in %s already", state,
		)
	}
	return err
}

// listeners are the listeners of a controller.
type listeners struct {
	all   []net.Listener
	token string // the administrator's token; "": none
}

func (l *listeners) close() {
	for _, one := range l.all {
		if one != nil {
			_ = one.Close()
		}
	}
}

func (l *listeners) names() (out []string) {
	for _, one := range l.all {
		out = append(out, one.Addr().Network()+":"+one.Addr().String())
	}
	return out
}

// listen opens the sockets of systemd, or else the controller's own; and the address of --listen.
func listen(h *host.Host, o Options, files *certs.Files) (_ *listeners, err error) {
	out := &listeners{}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	if out.all, err = activation.Listeners(); err != nil {
		return nil, fmt.Errorf("the sockets that systemd has opened: %w", err)
	}
	for _, l := range out.all {
		switch {
		case l == nil:
			return nil, fault.Invalid(
				"ListenStream= is for sockets that a controller serves", "a socket that systemd has opened is no stream",
			)
		case l.Addr().Network() == "unix", files != nil:
		case !isLoopback(l.Addr()):
			return nil, fault.Invalid(
				"give --tls-cert and --tls-key, or have it listen on 127.0.0.1",
				"%s, which systemd has opened: without TLS whoever is on the way could read and use tokens", l.Addr(),
			)
		}
	}
	if len(out.all) == 0 {
		l, err := ownSocket(h, o)
		if err != nil {
			return nil, err
		}
		out.all = append(out.all, l)
	}
	if o.Network.Address == "" {
		return out, nil
	}
	host, _, err := net.SplitHostPort(o.Network.Address)
	if err != nil {
		return nil, fault.Invalid("127.0.0.1:7070, say", "--listen %s: %w", o.Network.Address, err)
	}
	if ip := net.ParseIP(host); o.Network.Cert == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fault.Invalid(
			"give --tls-cert and --tls-key, or listen on 127.0.0.1",
			"--listen %s: without TLS whoever is on the way could read and use tokens", o.Network.Address,
		)
	}
	if out.token, err = callers.AdministratorToken(o.TokenFile); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.Network.Address)
	if err != nil {
		return nil, CannotListen("--listen", o.Network.Address, err)
	}
	out.all = append(out.all, l)
	return out, nil
}

func isLoopback(at net.Addr) bool {
	host, _, err := net.SplitHostPort(at.String())
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// ownSocket listens on the controller's socket, and replaces one that a killed controller left.
func ownSocket(h *host.Host, o Options) (net.Listener, error) {
	path := o.Socket.Path
	if path == "" {
		dir, err := host.RuntimeDir()
		if err != nil {
			return nil, err
		}
		path = filepath.Join(dir, socket.SocketName)
	}
	switch ok, err := h.OnlyOne(path + ".lock"); {
	case err != nil:
		return nil, fault.Invalid("", "--socket %s: %w", path, err)
	case !ok:
		return nil, fault.Conflict("stop it first, or give another --socket", "a controller listens on %s already", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fault.Conflict("give another --socket", "%s exists and is no socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.Invalid("", "--socket %s: %w", path, err)
	}
	old := syscall.Umask(0o177) // from the start only this user may connect
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fault.Invalid("", "--socket %s: %w", path, err)
	}
	if o.Socket.Everyone {
		if err := os.Chmod(path, 0o666); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	return l, nil
}
