package egress

import (
	"net/netip"
	"slices"

	"github.com/hostler-project/hostler/policy/fetch/ranges"
)

// Never returns the ranges that no word reaches. They are the addresses of this machine, of the
// link, of groups and of nobody, and those of clouds' metadata services.
func Never() []netip.Prefix { return never }

// Privates returns the private networks: neither of the internet, nor in Never.
func Privates() []netip.Prefix { return privates }

// Public reports whether an address is of the internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	return !ranges.Within(a, never) && !ranges.Within(a, privates) && ranges.Global(a)
}

var (
	never    = slices.Concat(ranges.Nobody, ranges.Loopback, ranges.Link, beyondLink())
	privates = slices.Concat(ranges.Private, ranges.Special)
)

// beyondLink returns the addresses of metadata services outside of the link. The link is never
// reached.
func beyondLink() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(ranges.Metadata), func(p netip.Prefix) bool {
		return ranges.Within(p.Addr(), ranges.Link)
	})
}
