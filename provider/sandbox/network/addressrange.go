//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// candidates returns the ranges to try, in order: parts of 10/8 and of the block for benchmarks
// that neither Docker, Podman, libvirt, LXD, Kubernetes' usual set-ups nor VPN programs take by
// themselves. 100.64/10 is left out: Tailscale drops packets from there.
func candidates() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.213.64.0/18"), netip.MustParsePrefix("198.18.64.0/18"),
		netip.MustParsePrefix("10.97.192.0/18"),
	}
}

// maxTries is how many addresses are tried, from a random one on, before the range counts as full.
const maxTries = 4096

// findRange finds the range, the way out and its MTU. It records the range, so it compares it
// with the routes only once.
func (n *Network) findRange(s *socket) error {
	memo := filepath.Join(n.o.Dir, "range")
	text, err := os.ReadFile(memo)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &compute.Error{Op: "network.Open", Kind: compute.ErrFailed, Err: err}
	}
	rng, perr := netip.ParsePrefix(strings.TrimSpace(string(text)))
	if known := perr == nil && (!n.o.Range.IsValid() || rng == n.o.Range.Masked()); !known {
		if rng, err = n.choose(s); err != nil {
			return err
		}
		if err := replace(memo, rng.String()+"\n"); err != nil {
			return &compute.Error{Op: "network.Open", Kind: compute.ErrFailed, Err: err}
		}
	}
	n.rng = rng
	if oif, err := s.out(); err != nil {
		return &compute.Error{Op: "network.Open", Kind: compute.ErrFailed, Err: err}
	} else if oif != 0 {
		if l, ok, err := s.linkAt(oif); err == nil && ok {
			n.mtu = l.mtu
		}
	}
	if forwards("") {
		return nil
	}
	routes, err := s.routes()
	for _, r := range routes {
		if r.gateway && !slices.Contains(n.uplinks, r.oif) {
			n.uplinks = append(n.uplinks, r.oif)
		}
	}
	return err
}

// choose finds a range that no route of the host overlaps, but those to sandboxes.
func (n *Network) choose(s *socket) (netip.Prefix, error) {
	links, err := s.links()
	if err != nil {
		return netip.Prefix{}, err
	}
	sandboxes := map[int]bool{}
	for _, l := range links {
		if strings.HasPrefix(l.name, linkPrefix) && len(l.name) == len(n.links)+8 && l.name[len(n.links)-1] == '-' {
			sandboxes[l.index] = true
		}
	}
	routes, err := s.routes()
	if err != nil {
		return netip.Prefix{}, err
	}
	var last netip.Prefix
	free := func(p netip.Prefix) bool {
		for _, r := range routes {
			if r.dst.Bits() > 0 && r.dst.Overlaps(p) && !sandboxes[r.oif] {
				last = r.dst
				return false
			}
		}
		return true
	}
	wanted := candidates()
	if n.o.Range.IsValid() {
		wanted = []netip.Prefix{n.o.Range.Masked()}
	}
	for _, p := range wanted {
		if free(p) {
			return p, nil
		}
	}
	return netip.Prefix{}, &compute.Error{
		Op: "network.Open", Kind: compute.ErrConflict,
		Err:  fmt.Errorf("range %s: this machine has a route to %s", wanted[len(wanted)-1], last),
		Hint: "choose another range of addresses for sandboxes, one that is used nowhere here",
	}
}

// replace writes a small file, complete or not at all.
func replace(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// route takes a free address, by a route to it.
func (n *Network) route(s *socket, index int) (netip.Addr, error) {
	size := uint32(1) << (32 - n.rng.Bits())
	first := binary.BigEndian.Uint32(n.rng.Masked().Addr().AsSlice())
	start := rand.Uint32N(size - 3) // not those of the network, the gateway and the broadcast
	for i := range min(size-3, maxTries) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], first+2+(start+i)%(size-3))
		addr := netip.AddrFrom4(b)
		replies, err := s.do(newRoute(index, addr, netip.Addr{}))
		if err == nil {
			err = replies[0].err
		}
		switch {
		case err == nil:
			return addr, nil
		case !errors.Is(err, unix.EEXIST):
			return addr, fmt.Errorf("route to %s: %w", addr, err)
		}
	}
	return netip.Addr{}, &compute.Error{
		Kind: compute.ErrNoCapacity, Err: fmt.Errorf("no address left in %s", n.rng), Hint: "choose a larger range",
	}
}

// routing is the interesting part of a route.
type routing struct {
	dst     netip.Prefix
	oif     int
	gateway bool
}

// routes lists the IPv4 routes of all tables.
func (s *socket) routes() ([]routing, error) {
	r := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	m := nl.NewRtMsg()
	m.Family, m.Table, m.Scope, m.Protocol, m.Type = unix.AF_INET, 0, 0, 0, 0
	r.AddData(m)
	replies, err := s.do(r)
	if err == nil {
		err = replies[0].err
	}
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var out []routing
	for _, b := range replies[0].data {
		if x, ok := parseRoute(b); ok {
			out = append(out, x)
		}
	}
	return out, nil
}

// parseRoute reads one route of rtnetlink(7). It returns false for a damaged one, and for one
// that is not of IPv4.
func parseRoute(b []byte) (routing, bool) {
	if len(b) < unix.SizeofRtMsg {
		return routing{}, false
	}
	m := nl.DeserializeRtMsg(b)
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofRtMsg:])
	if err != nil || m.Family != unix.AF_INET {
		return routing{}, false
	}
	x := routing{dst: netip.PrefixFrom(netip.IPv4Unspecified(), int(m.Dst_len))}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_DST:
			if addr, ok := netip.AddrFromSlice(a.Value); ok {
				x.dst = netip.PrefixFrom(addr, int(m.Dst_len))
			}
		case unix.RTA_OIF:
			x.oif = int(binary.NativeEndian.Uint32(a.Value))
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			x.gateway = true
		}
	}
	return x, true
}

// out returns the interface that leads into the world, 0 if none does.
func (s *socket) out() (int, error) {
	r := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Table, m.Scope, m.Protocol, m.Type = unix.AF_INET, 32, 0, 0, 0, 0
	r.AddData(m)
	// an address of the world; nothing is sent to it
	r.AddData(nl.NewRtAttr(unix.RTA_DST, []byte{1, 1, 1, 1}))
	replies, err := s.do(r)
	switch {
	case err != nil:
		return 0, err
	case replies[0].err != nil || len(replies[0].data) == 0:
		return 0, nil
	}
	x, _ := parseRoute(replies[0].data[0])
	return x.oif, nil
}

// linkAt is link by index.
func (s *socket) linkAt(index int) (l link, ok bool, err error) {
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	r.AddData(m)
	r.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	replies, err := s.do(r)
	if err != nil || replies[0].err != nil || len(replies[0].data) == 0 {
		return link{}, false, err
	}
	l, ok = parseLink(replies[0].data[0])
	return l, ok, nil
}
