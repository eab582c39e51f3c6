package egress

import "net/netip"

// Never returns what is reached by no word: addresses that mean this machine, the link, groups or nobody, and those of clouds' metadata services.
func Never() []netip.Prefix { return never }

// Privates returns what is not of the internet beside those.
func Privates() []netip.Prefix { return privates }

// Public reports whether an address is one of the internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	return !within(a, never) && !within(a, privates) && (a.Is4() || global.Contains(a))
}

var (
	never = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", // the last has 255.255.255.255 too
		"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", // Alibaba, Azure, Oracle
		"::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8",
		"fd00:ec2::/32", "fd20:ce::254/128") // EC2, Google
	privates = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15",
		"fc00::/7", "fec0::/10", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16") // the last four lead to addresses of IPv4
	global = netip.MustParsePrefix("2000::/3")
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func within(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
