//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// port is an element of the maps: a forwarded port, the sandbox's address that it leads to, and the
// link that it belongs to.
type port struct {
	Forward
	to    netip.Addr
	owner string
}

// maps returns the two maps of forwarded ports: of all addresses of this machine, and of one.
func (t *table) maps() (any, at *nftables.Set) {
	data := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	// the numbers serve within one transaction; the library would count them up without a lock
	any = &nftables.Set{
		ID: 1, Table: t.t, Name: "ports-any", IsMap: true, Concatenation: true, DataType: data,
		KeyType: nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
	}
	at = &nftables.Set{
		ID: 2, Table: t.t, Name: "ports-at", IsMap: true, Concatenation: true, DataType: data,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
	}
	return any, at
}

// ownedBy returns the ports of a link.
func ownedBy(ports []port, link string) []port {
	return slices.DeleteFunc(slices.Clone(ports), func(p port) bool { return p.owner != link })
}

// element returns a port in the form of nftables, each value in four bytes.
func (p port) element() nftables.SetElement {
	var e nftables.SetElement
	if p.Address.IsValid() {
		e.Key = append(e.Key, p.Address.AsSlice()...)
	}
	proto := byte(unix.IPPROTO_TCP)
	if p.UDP {
		proto = unix.IPPROTO_UDP
	}
	e.Key = append(e.Key, proto, 0, 0, 0)
	e.Key = append(binary.BigEndian.AppendUint16(e.Key, p.HostPort), 0, 0)
	e.Val = append(e.Val, p.to.AsSlice()...)
	e.Val = append(binary.BigEndian.AppendUint16(e.Val, p.Port), 0, 0)
	e.Comment = p.owner
	return e
}

// portOf is element's inverse.
func portOf(e nftables.SetElement) (p port, ok bool) {
	key := e.Key
	if len(key) == 12 {
		p.Address, _ = netip.AddrFromSlice(key[:4])
		key = key[4:]
	}
	if len(key) != 8 || len(e.Val) != 8 {
		return port{}, false
	}
	p.UDP = key[0] == unix.IPPROTO_UDP
	p.HostPort = binary.BigEndian.Uint16(key[4:])
	p.to, _ = netip.AddrFromSlice(e.Val[:4])
	p.Port = binary.BigEndian.Uint16(e.Val[4:])
	p.owner = e.Comment
	return p, true
}

// ports returns the current forwarded ports; none if there is no table.
func (t *table) ports() ([]port, error) { return t.portsIn(t.t) }

// portsIn returns the forwarded ports of the given table. A map that is not there has none.
func (t *table) portsIn(in *nftables.Table) ([]port, error) {
	var out []port
	any, at := t.maps()
	for _, s := range []*nftables.Set{any, at} {
		s.Table = in
		elements, err := t.conn.GetSetElements(s)
		if err = numbered(err); errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("nftables: read forwarded ports: %w", err)
		}
		for _, e := range elements {
			if p, ok := portOf(e); ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// numbered restores the kernel's error number in an error of the library, which turns it into text
// when it reads.
func numbered(err error) error {
	for _, no := range []unix.Errno{unix.ENOENT, unix.EPERM, unix.EOPNOTSUPP} {
		if err != nil && !errors.Is(err, no) && strings.HasSuffix(err.Error(), ": "+no.Error()) {
			return no
		}
	}
	return err
}

// addPorts adds elements; a flush applies it.
func (t *table) addPorts(ports []port) error { return t.change(ports, t.conn.SetAddElements) }

// dropPorts removes elements; a flush applies it.
func (t *table) dropPorts(ports []port) error { return t.change(ports, t.conn.SetDeleteElements) }

// change puts each port to do with its map: one map is for ports with an address, and one for
// those without.
func (t *table) change(ports []port, do func(*nftables.Set, []nftables.SetElement) error) error {
	any, at := t.maps()
	for _, p := range ports {
		s := any
		if p.Address.IsValid() {
			s = at
		}
		if err := do(s, []nftables.SetElement{p.element()}); err != nil {
			return fmt.Errorf("nftables: port %s: %w", p, err)
		}
	}
	return nil
}

// clash reports whether two forwards want the same port.
func clash(a, b Forward) bool {
	return a.HostPort == b.HostPort && a.UDP == b.UDP && (!a.Address.IsValid() || !b.Address.IsValid() || a.Address == b.Address)
}

// errTaken means that another has the port.
type errTaken struct {
	f   Forward
	who string
}

func (e errTaken) Error() string {
	return fmt.Sprintf("port %d/%s of this machine is in use by %s", e.f.HostPort, e.f.network(), e.who)
}

// vacant returns errTaken if one of the ports is forwarded already, by any installation, or if a
// program of this machine listens on it.
func (t *table) vacant(want []Forward, have []port, owner string) error {
	if len(want) == 0 {
		return nil
	}
	for i, f := range want {
		for _, g := range want[:i] {
			if clash(f, g) {
				return errTaken{f, "another forward of the same sandbox"}
			}
		}
		for _, p := range have {
			if p.owner != owner && clash(f, p.Forward) {
				return errTaken{f, "another sandbox"}
			}
		}
	}
	others, err := t.others()
	if err != nil {
		return err
	}
	for _, o := range others {
		theirs, err := t.portsIn(o)
		if err != nil {
			return err
		}
		for _, p := range theirs {
			for _, f := range want {
				if clash(f, p.Forward) {
					return errTaken{f, "a sandbox of another installation"}
				}
			}
		}
	}
	for _, f := range want {
		if err := listen(f); err != nil {
			return err
		}
	}
	return nil
}

// listen finds out whether a program has the port, by taking it for a moment.
func listen(f Forward) error {
	addr := f.Address
	if !addr.IsValid() {
		addr = netip.IPv4Unspecified()
	}
	at := netip.AddrPortFrom(addr, f.HostPort)
	var c io.Closer
	var err error
	if f.UDP {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	} else {
		c, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return errTaken{f, "a program"}
	case err != nil:
		return fmt.Errorf("forward %s: %w", f, err)
	}
	return c.Close()
}
