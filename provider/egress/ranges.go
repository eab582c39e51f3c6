package egress

import (
	"net/netip"
	"slices"

	"github.com/hostler-project/hostler/policy/fetch/ranges"
)

// Never returns what is reached by no word: addresses that mean this machine, the link, groups or
// nobody, and those of clouds' metadata services.
func Never() []netip.Prefix { return never }

// Privates returns what is not of the internet beside those.
func Privates() []netip.Prefix { return privates }

// Public reports whether an address is one of the internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	return !ranges.Within(a, never) && !ranges.Within(a, privates) && ranges.Global(a)
}

var (
	never    = slices.Concat(ranges.Nobody, ranges.Loopback, ranges.Link, beyondLink())
	privates = slices.Concat(ranges.Private, ranges.Special)
)

// beyondLink are the metadata services that are not on the link, which is never reached anyway.
func beyondLink() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(ranges.Metadata), func(p netip.Prefix) bool {
		return ranges.Within(p.Addr(), ranges.Link)
	})
}
