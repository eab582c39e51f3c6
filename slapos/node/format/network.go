package format

import (
	"net/netip"
	"slices"
	"strconv"
)

// network chooses the addresses. An earlier run's choice is kept where possible, and never given to
// another interface.
func (p *planner) network() {
	for i := range p.was.Partitions {
		w := &p.was.Partitions[i]
		for _, a := range w.Addresses {
			p.ours[a.IP], p.book.held[a.IP] = true, true
		}
		for _, t := range []*Tunnel{&w.Tap, w.Tun} {
			if t == nil || t.Name == "" {
				continue
			}
			for _, text := range []string{t.IPv4Addr, t.IPv6Addr} {
				if ip, err := netip.ParseAddr(text); err == nil {
					p.ours[ip], p.book.held[ip] = true, true
				}
			}
		}
	}
	for _, a := range p.m.Addresses {
		if ip := a.Prefix.Addr(); !p.ours[ip] || a.Failed {
			p.book.used[ip] = true
		}
	}
	six, found := p.d.Address, p.d.Address.IsValid()
	if !found {
		six, found = computerAddress(p.m, p.o.interface6(), p.ours, p.was.Address)
	}
	if !found && !p.o.AlterNetwork {
		six = p.was.Address
	}
	p.c.Address = six
	if !p.o.AlterNetwork {
		for i := range p.c.Partitions {
			p.keepNetwork(i)
		}
		return
	}
	for _, link := range []string{p.o.Interface, p.o.interface6()} {
		if _, there := p.m.Links[link]; !there {
			p.fail("there is no interface %s: interface_name and ipv6_interface say which it is", link)
			return
		}
	}
	if !found || !six.Addr().Is6() {
		p.fail(
			"the interface %s has no global address of IPv6, of whose network the partitions' are taken: give it one, or name one in a definition file, as address in [computer]",
			p.o.interface6(),
		)
		return
	}
	numbered := p.o.IPv6Range || p.o.CreateTap && p.o.TapIPv6 || p.o.CreateTun && p.o.TunIPv6
	if numbered && six.Bits()+p.o.PrefixShift > 126 {
		p.fail(
			"the network %s is too small to be cut by an ipv6_prefixshift of %d: give the interface a larger one, or switch partition_has_ipv6_range, tap_ipv6 and tun_ipv6 off",
			six.Masked(), p.o.PrefixShift,
		)
		return
	}
	p.book.used[six.Addr()] = true
	p.addresses(six)
	for i := range p.c.Partitions {
		p.tunnels(i, six)
	}
}

// keepNetwork describes a partition's network that is not ours to change: as defined, else as
// before.
func (p *planner) keepNetwork(i int) {
	part, d, was := &p.c.Partitions[i], p.d.Partitions[i], p.before(i)
	part.Addresses, part.Range, part.Tap, part.Tun = addressesOf(d.Addresses), d.Range, Tunnel{Name: d.Interface}, was.Tun
	if len(d.Addresses) == 0 {
		part.Addresses = was.Addresses
	}
	if !d.Range.IsValid() {
		part.Range = was.Range
	}
	if d.Interface == "" {
		part.Tap = was.Tap
	}
}

func addressesOf(all []netip.Prefix) (out []Address) {
	for _, a := range all {
		out = append(out, Address{a.Addr(), netmask(a)})
	}
	return out
}

// addresses chooses each partition's two addresses, and assigns them to the interfaces.
func (p *planner) addresses(six netip.Prefix) {
	kept := make([][2]netip.Addr, len(p.c.Partitions))
	for i := range p.c.Partitions {
		if defined := p.d.Partitions[i].Addresses; len(defined) > 0 {
			p.c.Partitions[i].Addresses = addressesOf(defined)
			for _, a := range defined {
				p.book.used[a.Addr()] = true
			}
			continue
		}
		for _, a := range p.before(i).Addresses {
			switch {
			case a.IP.Is4() && !kept[i][0].IsValid() && p.book.keep(a.IP, p.o.IPv4Network):
				kept[i][0] = a.IP
			case a.IP.Is6() && !kept[i][1].IsValid() && p.book.keep(a.IP, six.Masked()):
				kept[i][1] = a.IP
			}
		}
	}
	for i := range p.c.Partitions {
		part := &p.c.Partitions[i]
		if len(part.Addresses) > 0 {
			continue
		}
		var err error
		if !kept[i][0].IsValid() {
			kept[i][0], err = p.book.ipv4(p.o.IPv4Network)
		}
		if err == nil && !kept[i][1].IsValid() {
			kept[i][1], err = p.book.ipv6(six, uint64(i+2), p.o.PrefixShift == 16)
		}
		if err != nil {
			p.fail("%s: %w", part.Reference, err)
			return
		}
		part.Addresses = addressesOf([]netip.Prefix{netip.PrefixFrom(kept[i][0], 32), netip.PrefixFrom(kept[i][1], six.Bits())})
	}
}

// tunnels cuts a partition's range and its tunnels' out of the computer's network: a quarter for
// the ranges, one for taps, one for tuns, and one stays free.
func (p *planner) tunnels(i int, six netip.Prefix) {
	part, d := &p.c.Partitions[i], p.d.Partitions[i]
	quarter, n := uint64(1)<<(p.o.PrefixShift-2), uint64(i+1)
	switch {
	case d.Range.IsValid():
		part.Range = d.Range
	case p.o.IPv6Range:
		part.Range = sub(six, p.o.PrefixShift, quarter+n)
	}
	part.Tap.Name = d.Interface
	if p.o.CreateTap {
		if part.Tap.Name == "" {
			part.Tap.Name = p.o.TapBase + strconv.Itoa(i)
		}
		if p.o.TapIPv6 {
			part.Tap.tunnel6(sub(six, p.o.PrefixShift, 2*quarter+n))
		}
		if p.o.TapGateway != "" {
			p.tap4(part, p.before(i).Tap)
		}
	}
	if p.o.CreateTun {
		part.Tun = &Tunnel{Name: tunBase + strconv.Itoa(i)}
		part.Tun.tun4(i, p.o.Partitions)
		if p.o.TunIPv6 {
			part.Tun.tunnel6(sub(six, p.o.PrefixShift, 3*quarter+n))
		}
	}
}

// tunBase begins the names of tun interfaces.
const tunBase = "slaptun"

// tap4 gives the peer behind a tap an address beside that of the gateway interface.
func (p *planner) tap4(part *Partition, was Tunnel) {
	var in netip.Prefix
	for _, a := range p.m.Addresses {
		if a.Link == p.o.TapGateway && a.Prefix.Addr().Is4() && !p.ours[a.Prefix.Addr()] && (!in.IsValid() || a.Prefix.Bits() < in.Bits()) {
			in = a.Prefix
		}
	}
	if !in.IsValid() {
		p.fail("the interface %s of tap_gateway_interface has no address of IPv4", p.o.TapGateway)
		return
	}
	a, err := netip.ParseAddr(was.IPv4Addr)
	if err != nil || !p.book.keep(a, in.Masked()) {
		if a, err = p.book.ipv4(in.Masked()); err != nil {
			p.fail("%s: %w", part.Tap.Name, err)
			return
		}
	}
	part.Tap.IPv4Addr, part.Tap.IPv4Netmask, part.Tap.IPv4Gateway, part.Tap.IPv4Network = a.String(), netmask(in), in.Addr().String(), in.Masked().String()
}

// links has interfaces, addresses and routes be there.
func (p *planner) links() {
	for _, a := range p.m.Addresses {
		ip := a.Prefix.Addr()
		if a.Failed && p.ours[ip] && (a.Link == p.o.Interface || a.Link == p.o.interface6()) {
			p.do(removeAddress{a.Link, a.Prefix})
		}
	}
	for i := range p.c.Partitions {
		part := &p.c.Partitions[i]
		p.removeFormerAddresses(part.Tap.Name, part.Tap.IPv6Addr)
		if part.Tun != nil {
			p.removeFormerAddresses(part.Tun.Name, part.Tun.IPv4Addr, part.Tun.IPv6Addr)
		}
	}
	for i := range p.c.Partitions {
		part := &p.c.Partitions[i]
		for _, a := range part.Addresses {
			link := p.o.Interface
			if a.IP.Is6() {
				link = p.o.interface6()
			}
			length, _ := maskLength(a.Netmask)
			if at := p.at(a.IP); at == "" || at != link && p.ours[a.IP] && len(p.d.Partitions[i].Addresses) == 0 {
				p.do(addAddress{Link: link, Prefix: netip.PrefixFrom(a.IP, length)})
			}
		}
		if part.Range.IsValid() {
			p.route(route{Link: "lo", To: part.Range, Local: true})
		}
		if part.Tap.Name != "" && p.o.CreateTap {
			p.tap(part)
		}
		if part.Tun != nil {
			p.tun(part)
		}
	}
	if !p.m.NonlocalBind && p.o.IPv6Range {
		p.do(bindNonlocal{})
	}
}

// removeFormerAddresses takes the addresses from a tunnel that it had in an earlier run and has
// no more: with another number of partitions, say, they are another's.
func (p *planner) removeFormerAddresses(link string, now ...string) {
	for _, a := range p.m.Addresses {
		ip := a.Prefix.Addr()
		if link != "" && a.Link == link && (p.ours[ip] || tuns.Contains(ip)) && !slices.Contains(now, ip.String()) {
			p.do(removeAddress{link, a.Prefix})
		}
	}
}

// at is the interface that has an address; "" is none.
func (p *planner) at(ip netip.Addr) string {
	for _, a := range p.m.Addresses {
		if a.Prefix.Addr() == ip && !a.Failed {
			return a.Link
		}
	}
	return ""
}

// route plans a route that is missing. It fails if the network is reached through another link.
func (p *planner) route(r route) {
	if p.m.Routes[r] {
		return
	}
	for other := range p.m.Routes {
		if other.To == r.To && other.Local == r.Local && other.Link != r.Link {
			p.fail(
				"the network %s of %s is reached through %s: take that route away, or the interface if it was made for an earlier configuration",
				r.To, r.Link, other.Link,
			)
			return
		}
	}
	p.do(addRoute{r})
}

// link has a tap or tun be there and on.
func (p *planner) link(name, kind string, user string) {
	link, there := p.m.Links[name]
	switch {
	case there && link.Kind != kind:
		p.fail("there is an interface %s that is no %s (%s): choose another tap_base_name", name, kind, link.Kind)
		return
	case there && link.Owner >= 0 && link.Owner != p.m.Users[user].UID:
		p.fail(
			"the interface %s is not %s's, but of the user of number %d: take it away, or choose another tap_base_name",
			name, user, link.Owner,
		)
		return
	case !there:
		p.do(addLink{name, kind, user})
	}
	if !link.Up {
		p.do(setUp{name})
	}
}

// tap plans a partition's tap device and the routes to it. An address that cannot be parsed is
// none.
func (p *planner) tap(part *Partition) {
	t := &part.Tap
	p.link(t.Name, "tap", part.User.Name)
	if gateway, err := netip.ParseAddr(t.IPv6Gateway); err == nil {
		p.tunnelAddress(t.Name, t.IPv6Addr, t.IPv6Netmask, true)
		length, _ := maskLength(t.IPv6Netmask)
		p.route(route{Link: t.Name, To: netip.PrefixFrom(gateway, 128)})
		p.route(route{Link: t.Name, To: netip.PrefixFrom(gateway, length).Masked(), Via: gateway})
	}
	if a, err := netip.ParseAddr(t.IPv4Addr); err == nil {
		p.route(route{Link: t.Name, To: netip.PrefixFrom(a, 32)})
	}
}

func (p *planner) tun(part *Partition) {
	t := part.Tun
	p.link(t.Name, "tun", part.User.Name)
	p.tunnelAddress(t.Name, t.IPv4Addr, t.IPv4Netmask, false)
	if t.IPv6Addr != "" {
		p.tunnelAddress(t.Name, t.IPv6Addr, t.IPv6Netmask, false)
	}
}

func (p *planner) tunnelAddress(link, ip, mask string, noRoute bool) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return
	}
	there := slices.ContainsFunc(p.m.Addresses, func(at assigned) bool { return at.Link == link && at.Prefix.Addr() == a })
	if length, _ := maskLength(mask); !there {
		p.do(addAddress{link, netip.PrefixFrom(a, length), noRoute})
	}
}
