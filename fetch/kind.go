package fetch

import "net/netip"

// Kind is what an address is to this machine.
type Kind int

// The kinds of addresses. All but Public are refused unless a rule allows them.
const (
	Public Kind = iota
	Private
	Loopback
	LinkLocal
	Metadata // a cloud's service that hands out credentials
	Own      // this machine's
	Reserved // of no host of the internet: multicast, documentation, tunnels, ...
)

// String is the kind in a sentence: "an address of KIND".
func (k Kind) String() string {
	return [...]string{"the internet", "a private network", "loopback", "the link", "a metadata service", "this machine", "a reserved range"}[k]
}

// metadata are the addresses at which clouds hand out credentials.
var metadata = addrs("169.254.169.254", "fd00:ec2::254", // EC2, and most others
	"169.254.169.253", "fd00:ec2::253", "169.254.169.123", "fd00:ec2::123", // EC2's resolver and clock
	"169.254.170.2", "fd00:ec2::23", "169.254.170.23", // credentials of EC2's containers
	"fd20:ce::254", "fe80::a9fe:a9fe", // Google, OpenStack
	"100.100.100.200", "168.63.129.16", "192.0.0.192") // Alibaba, Azure, Oracle

var (
	loopbacks = prefixes("127.0.0.0/8", "::1/128")
	links     = prefixes("169.254.0.0/16", "fe80::/10")
	privates  = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
	reserved  = prefixes("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	global = netip.MustParsePrefix("2000::/3") // all of IPv6 that belongs to hosts of the internet
)

// The forms in which an IPv6 address holds one of IPv4.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// plain is an address without its zone, and of IPv4 where it is one that a network translates to that.
func plain(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		return last4(a)
	}
	return a
}

// kindOf says what an address is, as far as its digits tell. The address is plain.
func kindOf(a netip.Addr) Kind {
	for _, m := range metadata {
		if a == m {
			return Metadata
		}
	}
	switch {
	case within(a, loopbacks):
		return Loopback
	case within(a, links):
		return LinkLocal
	case within(a, privates):
		return Private
	}
	if inner, ok := embedded(a); ok {
		if k := kindOf(inner); k != Public {
			return k
		}
	}
	if within(a, reserved) || a.Is6() && !global.Contains(a) {
		return Reserved
	}
	return Public
}

// embedded is the address of IPv4 that a tunnel would lead an address of IPv6 to.
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

func within(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func addrs(all ...string) (out []netip.Addr) {
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
