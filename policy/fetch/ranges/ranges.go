// Package ranges lists the addresses that are not of the internet, by purpose. It serves everything
// that judges addresses: fetching for others, and the networks of instances.
package ranges

import "net/netip"

var (
	// Metadata is where clouds serve credentials, and on some also names and time.
	// EC2, and others
	Metadata = prefixes("169.254.169.254/32", "169.254.169.253/32", "169.254.169.123/32",
		// credentials of EC2's containers; EC2
		"169.254.170.2/32", "169.254.170.23/32", "fd00:ec2::/32",
		"fd20:ce::254/128", "fe80::a9fe:a9fe/128", // Google, OpenStack
		"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32") // Alibaba, Azure, Oracle

	Loopback = prefixes("127.0.0.0/8", "::1/128")
	Link     = prefixes("169.254.0.0/16", "fe80::/10")
	Private  = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

	// Nobody belongs to no single host: this host, multicast, reserved, forms of IPv4.
	Nobody = prefixes("0.0.0.0/8", "224.0.0.0/3", "::/96", "::ffff:0:0/96", "ff00::/8")

	// Special is for documentation, measurements and translation to IPv4.
	Special = prefixes("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", "fec0::/10",
		"64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16")
)

// global holds the IPv6 addresses of internet hosts.
var global = netip.MustParsePrefix("2000::/3")

// Global reports whether an address could be of the internet, apart from the lists.
func Global(a netip.Addr) bool { return a.Is4() || global.Contains(a) }

// Within reports whether one of the ranges contains an address.
func Within(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// prefixes parses ranges; it panics if one is wrong.
func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
