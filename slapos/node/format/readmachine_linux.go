package format

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/home"
)

// settling is how long is waited for the kernel to ask whether another machine has an address: by
// default it takes a second or two.
const settling = 10 * time.Second

// nonlocal is the file of the kernel's switch.
const nonlocal = "/proc/sys/net/ipv6/ip_nonlocal_bind"

// readMachine reads the state of this machine, as far as options and a definition (nil: none)
// need it. It changes nothing.
func readMachine(ctx context.Context, o *Options, d *Definition) (*machine, error) {
	m := &machine{UID: os.Geteuid(), Paths: map[string]entry{}, Files: map[string][]byte{}}
	if err := m.accounts(); err != nil {
		return nil, err
	}
	if o.StorageHome != "" {
		entries, err := os.ReadDir(o.StorageHome)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && strings.HasPrefix(e.Name(), "data") {
				m.Storage = append(m.Storage, filepath.Join(o.StorageHome, e.Name()))
			}
		}
	}
	paths, files := o.asked(d, m.Storage)
	for _, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		st := info.Sys().(*syscall.Stat_t)
		m.Paths[path] = entry{info.Mode(), int(st.Uid), int(st.Gid)}
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err == nil {
			m.Files[path] = data
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, n := range names(o, d) {
		if e, there := m.Paths[n.dir]; there && e.Mode.IsDir() {
			if data, err := readResource(n.dir); err == nil {
				m.Files[filepath.Join(n.dir, resource)] = data
			}
		}
	}
	if o.Interface == "" && o.IPv6Interface == "" {
		return m, nil
	}
	return m, m.network(ctx, o)
}

// readResource reads the resource file of a partition. A file by the partition's own user does not
// count.
func readResource(dir string) ([]byte, error) {
	h, err := home.Open(dir)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	info, err := h.Stat(resource)
	if err != nil {
		return nil, err
	}
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != os.Geteuid() || info.Mode().Perm() != 0o644 {
		return nil, fs.ErrNotExist
	}
	return h.Read(resource, 1<<20)
}

// accounts reads the users and groups of this machine.
func (m *machine) accounts() error {
	m.Users, m.Groups = map[string]account{}, map[string]unixGroup{}
	err := lines("/etc/passwd", 7, func(f []string) {
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if _, again := m.Users[f[0]]; err1 == nil && err2 == nil && !again {
			m.Users[f[0]] = account{UID: uid, GID: gid, Home: f[5], Shell: f[6], Locked: true}
		}
	})
	if err != nil {
		return err
	}
	err = lines("/etc/group", 4, func(f []string) {
		gid, err := strconv.Atoi(f[2])
		if _, again := m.Groups[f[0]]; err == nil && !again {
			m.Groups[f[0]] = unixGroup{gid, strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })}
		}
	})
	if err != nil || m.UID != 0 {
		return err
	}
	err = lines("/etc/shadow", 2, func(f []string) {
		if a, ok := m.Users[f[0]]; ok {
			a.Locked = strings.HasPrefix(f[1], "!") || strings.HasPrefix(f[1], "*")
			m.Users[f[0]] = a
		}
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lines calls f with the fields of each line of a file that has at least so many.
func lines(path string, fields int, f func(fields []string)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if all := strings.Split(s.Text(), ":"); len(all) >= fields {
			f(all)
		}
	}
	return nil
}

// network reads the interfaces, once the kernel has checked the relevant addresses for duplicates.
func (m *machine) network(ctx context.Context, o *Options) error {
	text, _ := os.ReadFile(nonlocal)
	m.NonlocalBind = strings.TrimSpace(string(text)) == "1"
	end := time.Now().Add(settling)
	for {
		if err := m.links(); err != nil {
			return err
		}
		waits := false
		for _, a := range m.Addresses {
			waits = waits || a.Tentative && !a.Failed && (a.Link == o.Interface || a.Link == o.interface6()) && m.Links[a.Link].Up
		}
		if !waits || time.Now().After(end) { // without a carrier it never knows
			return m.routes()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// links reads the network interfaces and their addresses.
func (m *machine) links() error {
	all, err := netlink.LinkList()
	if err != nil {
		return err
	}
	m.Links, m.Addresses = map[string]link{}, nil
	names := map[int]string{}
	for _, l := range all {
		a := l.Attrs()
		link := link{Index: a.Index, Kind: l.Type(), Owner: -1, Up: a.RawFlags&unix.IFF_UP != 0}
		if t, ok := l.(*netlink.Tuntap); ok {
			link.Kind = "tun"
			if t.Mode == netlink.TUNTAP_MODE_TAP {
				link.Kind = "tap"
			}
			link.Owner = int(int32(t.Owner))
		}
		m.Links[a.Name], names[a.Index] = link, a.Name
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if !ok {
			continue
		}
		m.Addresses = append(m.Addresses, assigned{Link: names[a.LinkIndex], Prefix: netip.PrefixFrom(ip.Unmap(), ones),
			Temporary: a.Flags&unix.IFA_F_TEMPORARY != 0 && ip.Unmap().Is6(),
			Tentative: a.Flags&unix.IFA_F_TENTATIVE != 0, Failed: a.Flags&unix.IFA_F_DADFAILED != 0})
	}
	return nil
}

// routes sees the main table's, and which networks are this machine.
func (m *machine) routes() error {
	m.Routes = map[route]bool{}
	names := map[int]string{}
	for name, l := range m.Links {
		names[l.Index] = name
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		for _, table := range []int{unix.RT_TABLE_MAIN, unix.RT_TABLE_LOCAL} {
			all, err := netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
			if err != nil {
				return err
			}
			for _, r := range all {
				if r.Dst == nil || table == unix.RT_TABLE_LOCAL && r.Type != unix.RTN_LOCAL {
					continue
				}
				ip, ok := netip.AddrFromSlice(r.Dst.IP)
				ones, _ := r.Dst.Mask.Size()
				if !ok {
					continue
				}
				via, _ := netip.AddrFromSlice(r.Gw)
				m.Routes[route{names[r.LinkIndex], netip.PrefixFrom(ip.Unmap(), ones), via.Unmap(), table == unix.RT_TABLE_LOCAL}] = true
			}
		}
	}
	return nil
}

// Ready reports whether the addresses of partitions can be chosen: the interface has a global
// address of IPv6, or none is needed.
func (f *Formatter) Ready(context.Context) (bool, error) {
	if !f.AlterNetwork || f.Definition != nil && f.Definition.Address.IsValid() {
		return true, nil
	}
	m := &machine{}
	if err := m.links(); err != nil {
		return false, err
	}
	_, found := computerAddress(m, f.interface6(), nil, netip.Prefix{})
	return found, nil
}
