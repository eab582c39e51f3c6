package fetch

import (
	"net/netip"

	"github.com/hostler-project/hostler/policy/fetch/ranges"
)

// kind is what an address is to this machine.
type kind int

// The kinds of addresses. All except public are refused unless a rule allows them.
const (
	public kind = iota
	private
	loopback
	linkLocal
	metadata   // a cloud's service that hands out credentials
	ownAddress // an address of this machine
	reserved   // of no internet host: multicast, documentation, tunnels, ...
)

// String returns the kind as in "an address of KIND".
func (k kind) String() string {
	return [...]string{
		"the internet", "a private network", "loopback", "the link", "a metadata service", "this machine",
		"a reserved range",
	}[k]
}

// The forms of an IPv6 address that contain an IPv4 address.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// unmap removes the zone of an address, and unwraps an IPv4 address from its IPv6 form where a
// network translates it.
func unmap(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		return last4(a)
	}
	return a
}

// kindOf returns the kind of a plain address, by its digits alone: it cannot tell ownAddress.
func kindOf(a netip.Addr) kind {
	switch {
	case ranges.Within(a, ranges.Metadata):
		return metadata
	case ranges.Within(a, ranges.Loopback):
		return loopback
	case ranges.Within(a, ranges.Link):
		return linkLocal
	case ranges.Within(a, ranges.Private):
		return private
	}
	if inner, ok := embedded(a); ok {
		if k := kindOf(inner); k != public {
			return k
		}
	}
	if ranges.Within(a, ranges.Special) || ranges.Within(a, ranges.Nobody) || !ranges.Global(a) {
		return reserved
	}
	return public
}

// embedded returns the IPv4 address that an IPv6 address leads to through a tunnel.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	switch {
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(a):
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	case compatible.Contains(a) && b[12]|b[13] != 0, translated.Contains(a),
		b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP
		return last4(a), true
	}
	return a, false
}

func last4(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}
