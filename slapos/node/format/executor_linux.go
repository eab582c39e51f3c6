package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/home"
)

// executor takes steps.
type executor struct {
	// the accounts, when they were last looked at; none where a program may have changed them since
	known machine
}

func newExecutor() *executor { return &executor{} }

// do takes one step of a plan.
func (h *executor) do(ctx context.Context, s step) error {
	switch s := s.(type) {
	case makeDir:
		if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(s.Path, 0o700); err != nil {
			return err
		}
		return h.own(s.Path, s.Mode, s.Owner)
	case own:
		return h.own(s.Path, s.Mode, s.Owner)
	case command:
		h.known.Users = nil
		return run(ctx, s.Argv)
	case putFile:
		return writeFile(s.Path, s.Data, s.Mode)
	case putInto:
		d, err := home.Open(s.Dir)
		if err != nil {
			return err
		}
		defer d.Close()
		if info, err := d.Stat(s.Name); err == nil && info.IsDir() {
			if err := d.Remove(s.Name); err != nil {
				return err
			}
		}
		return d.WriteOur(s.Name, s.Data, 0o644)
	case archiveState:
		return archive(s.Path)
	case bindNonlocal:
		return os.WriteFile(nonlocal, []byte("1\n"), 0)
	case addLink:
		a, err := h.account(s.Owner)
		if err != nil {
			return err
		}
		return tuntap(s.Name, s.Kind, a.UID)
	}
	return network(s)
}

// account is the current user of a name.
func (h *executor) account(name string) (account, error) {
	if h.known.Users == nil {
		if err := h.known.accounts(); err != nil {
			return account{}, err
		}
	}
	a, ok := h.known.Users[name]
	if !ok {
		return a, fmt.Errorf("there is no user %s", name)
	}
	return a, nil
}

// own gives a directory its owner and its mode; "" leaves the owner. It follows no link.
func (h *executor) own(path string, mode fs.FileMode, owner string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	if owner != "" {
		a, err := h.account(owner)
		if err != nil {
			return err
		}
		group, ok := h.known.Groups[owner]
		if !ok {
			group.GID = a.GID
		}
		if a.UID == 0 || group.GID == 0 {
			return fmt.Errorf("%s is root by its uid or gid", owner)
		}
		if err := unix.Fchown(fd, a.UID, group.GID); err != nil {
			return &fs.PathError{Op: "chown", Path: path, Err: err}
		}
	}
	if err := unix.Fchmod(fd, uint32(mode.Perm())); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// run runs one of the programs for users, which are where administrators have them.
func run(ctx context.Context, argv []string) error {
	path, err := exec.LookPath(argv[0])
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, argv[0]))
	}
	if err != nil {
		return fmt.Errorf(
			"the program %s is needed for users: install it (package passwd or shadow-utils), or set alter_user = False",
			argv[0],
		)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// network takes the steps that are the kernel's.
func network(s step) error {
	switch s := s.(type) {
	case setUp:
		link, err := netlink.LinkByName(s.Link)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(link)
	case addAddress:
		link, err := netlink.LinkByName(s.Link)
		if err != nil {
			return err
		}
		a := &netlink.Addr{IPNet: ipNet(s.Prefix)}
		if s.NoRoute {
			a.Flags = unix.IFA_F_NOPREFIXROUTE
		}
		return netlink.AddrReplace(link, a)
	case removeAddress:
		link, err := netlink.LinkByName(s.Link)
		if err != nil {
			return err
		}
		return netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(s.Prefix)})
	case addRoute:
		link, err := netlink.LinkByName(s.Link)
		if err != nil {
			return err
		}
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(s.To), Table: unix.RT_TABLE_MAIN}
		switch {
		case s.Local:
			r.Type, r.Table = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL
		case s.Via.IsValid():
			r.Gw = s.Via.AsSlice()
		case s.To.Addr().Is4():
			r.Scope = netlink.SCOPE_LINK
		}
		return netlink.RouteAdd(r)
	}
	return errors.ErrUnsupported
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// tuntap makes an interface that stays, for a user: one queue and bare packets, as `ip tuntap add`
// does.
func tuntap(name, kind string, owner int) error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: interfaces for partitions need it; create_tap = False goes without", err)
	}
	defer f.Close()
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if kind == "tun" {
		flags = unix.IFF_TUN | unix.IFF_NO_PI
	}
	r.SetUint16(flags | unix.IFF_TUN_EXCL)
	fd := int(f.Fd())
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
		return os.NewSyscallError("TUNSETIFF", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, owner); err != nil {
		return os.NewSyscallError("TUNSETOWNER", err)
	}
	return os.NewSyscallError("TUNSETPERSIST", unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1))
}
