package format

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// tries is how often an address is looked for at random.
const tries = 10

// host is the address of a number in a network.
func host(p netip.Prefix, n uint64) netip.Addr { return shifted(p.Masked().Addr(), n, 0) }

// sub is the n-th of the 1<<width equal parts of a network.
func sub(p netip.Prefix, width int, n uint64) netip.Prefix {
	length := p.Bits() + width
	return netip.PrefixFrom(shifted(p.Masked().Addr(), n, p.Addr().BitLen()-length), length)
}

// end is the last address of a network.
func end(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// shifted is an address plus a number that is shifted to the left. Overflow is dropped.
func shifted(a netip.Addr, n uint64, left int) netip.Addr {
	b := a.As16()
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	addHigh, addLow := uint64(0), uint64(0)
	if left < 64 {
		addLow, addHigh = n<<left, n>>(64-left)
	} else {
		addHigh = n << (left - 64)
	}
	var carry uint64
	low, carry = bits.Add64(low, addLow, 0)
	high += addHigh + carry
	binary.BigEndian.PutUint64(b[:8], high)
	binary.BigEndian.PutUint64(b[8:], low)
	if out := netip.AddrFrom16(b); a.Is6() {
		return out
	} else {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
}

// addressPool gives out addresses, and none twice.
type addressPool struct {
	used   map[netip.Addr]bool // by another interface, or given out
	held   map[netip.Addr]bool // by an earlier run, reserved for its former user
	random func(n int) int     // less than n
}

func (b *addressPool) free(a netip.Addr) bool { return !b.used[a] && !b.held[a] }

// keep gives out an earlier address again, if it is still in a network and free.
func (b *addressPool) keep(was netip.Addr, in netip.Prefix) bool {
	if !was.IsValid() || !in.IsValid() || !in.Contains(was) || b.used[was] {
		return false
	}
	b.used[was] = true
	return true
}

// ipv4 gives out an address of a network of IPv4.
func (b *addressPool) ipv4(in netip.Prefix) (netip.Addr, error) {
	first, n := 1, 1<<(32-in.Bits())-2 // without the network's own and the one of all
	if in.Bits() >= 31 {
		first, n = 0, 1<<(32-in.Bits())
	}
	for range tries {
		if a := host(in, uint64(first+b.random(n))); b.free(a) {
			b.used[a] = true
			return a, nil
		}
	}
	for i := range min(n, 1<<16) { // it is nearly full
		if a := host(in, uint64(first+i)); b.free(a) {
			b.used[a] = true
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address is free in %s", in)
}

// ipv6 gives out the n-th address of an IPv6 network. If that is taken and random allows it, it
// gives out a random one.
func (b *addressPool) ipv6(in netip.Prefix, n uint64, random bool) (netip.Addr, error) {
	a := host(in, n)
	if !in.Contains(a) {
		return a, fmt.Errorf("%s has no room for the address of number %d", in.Masked(), n)
	}
	if b.free(a) {
		b.used[a] = true
		return a, nil
	}
	if !random || in.Bits() > 112 {
		return a, fmt.Errorf("the address %s is taken", a)
	}
	for range tries {
		if a := host(in, uint64(1+b.random(65000))); b.free(a) {
			b.used[a] = true
			return a, nil
		}
	}
	return a, fmt.Errorf("the address %s is taken, and %d others of %s at random are so too", a, tries, in.Masked())
}

// computerAddress is the address of a computer. Of the interface's global addresses, without
// those of partitions, it takes one in the largest network: the earlier one, else the lowest.
func computerAddress(m *machine, link string, ours map[netip.Addr]bool, was netip.Prefix) (netip.Prefix, bool) {
	var all []netip.Prefix
	for _, a := range m.Addresses {
		if ip := a.Prefix.Addr(); a.Link == link && ip.Is6() && ip.IsGlobalUnicast() && !a.Temporary && !a.Failed && !ours[ip] {
			all = append(all, a.Prefix)
		}
	}
	if len(all) == 0 {
		return netip.Prefix{}, false
	}
	return slices.MinFunc(all, func(a, b netip.Prefix) int {
		switch {
		case a.Bits() != b.Bits():
			return a.Bits() - b.Bits()
		case a == was:
			return -1
		case b == was:
			return 1
		}
		return a.Addr().Compare(b.Addr())
	}), true
}

// tunnel6 gives a tunnel its part of an IPv6 network: the peer behind it has the last address of
// it, and the gateway to it the first.
func (t *Tunnel) tunnel6(p netip.Prefix) {
	gateway := host(p, 1)
	t.IPv6Addr, t.IPv6Netmask, t.IPv6Gateway, t.IPv6Network = end(p).String(), netmask(p), gateway.String(), netip.PrefixFrom(gateway, p.Bits()).String()
}

// tuns is the network of IPv4 that tun interfaces have parts of.
var tuns = netip.MustParsePrefix("172.16.0.0/12")

// tun4 gives a tun interface part i of the private network, cut into equal parts for all tuns.
func (t *Tunnel) tun4(i, of int) {
	p := sub(tuns, bits.Len(uint(of-1)), uint64(i))
	first := host(p, 1).String()
	t.IPv4Addr, t.IPv4Netmask, t.IPv4Gateway, t.IPv4Network = first, netmask(p), first, p.String()
}
