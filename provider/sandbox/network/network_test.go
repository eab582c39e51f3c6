//go:build linux

package network_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

func bg() context.Context { return context.Background() }

// TestOutside: a sandbox reaches the world, which sees this machine's address.
func TestOutside(t *testing.T) {
	world(t)
	n := open(t, options(t))
	a := attach(t, n, "box-1")
	if !netip.MustParsePrefix("10.213.64.0/18").Contains(a.Addr) {
		t.Errorf("address %s", a.Addr)
	}
	for _, proto := range []string{"tcp4", "udp4"} {
		if got, err := a.ask(proto, worldAddr+":80"); got != "world "+hostAddr {
			t.Errorf("%s: %q %v", proto, got, err)
		}
	}
	a.in(func() {
		links, err := netlink.LinkList()
		must(t, err)
		for _, l := range links {
			if at := l.Attrs(); at.Flags&net.FlagUp == 0 || at.Name != "lo" && at.MTU != 1400 {
				t.Errorf("%s: %v %d", at.Name, at.Flags, at.MTU)
			}
			if addrs, err := netlink.AddrList(l, netlink.FAMILY_V6); err == nil && l.Attrs().Name != "lo" && len(addrs) > 0 {
				t.Errorf("IPv6: %v", addrs)
			}
		}
	})
	list, err := n.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "box-1" || list[0].Address != a.Address {
		t.Errorf("%v %v", list, err)
	}
	// Again is the same; another name space is another network.
	again, err := n.Attach(t.Context(), "box-1", a.file, nil)
	if err != nil || again != a.Address {
		t.Errorf("%v %v", again, err)
	}
	b := attach(t, n, "box-1")
	if got, err := b.ask("tcp4", worldAddr+":80"); got == "" {
		t.Error(err)
	}
	if got, err := a.ask("tcp4", worldAddr+":80"); err == nil {
		t.Errorf("the former name space still has a network: %s", got)
	}
}

// TestWalls: each of the things that a sandbox must not reach, and that it does when the defence is off.
func TestWalls(t *testing.T) {
	outside := world(t)
	serve(t, hostAddr+":7777", "host")
	serve(t, ":7779", "host")
	serve(t, "127.0.0.1:7778", "host")
	uplink, err := netlink.LinkByName("uplink")
	must(t, err)
	reach := func(addr string) func(t *testing.T, a, b box) string {
		return func(t *testing.T, a, b box) (all string) {
			at := strings.NewReplacer("B", b.Addr.String(), "G", a.Gateway.String()).Replace(addr)
			for _, proto := range []string{"tcp4", "udp4"} {
				got, err := a.ask(proto, at)
				if err != nil && strings.Contains(err.Error(), "timeout") {
					t.Errorf("%s %s: no answer, where it should be refused", proto, addr)
				}
				all += got
			}
			return all
		}
	}
	for _, wall := range []struct {
		name, off string
		o         network.Options
		try       func(t *testing.T, a, b box) string
	}{
		{name: "the host by its address", off: "host", try: reach(hostAddr + ":7777")},
		{name: "the host by the gateway", off: "host", try: reach("G:7779")},
		{name: "another sandbox", off: "neighbours inbound", try: reach("B:99")},
		{name: "metadata", off: "metadata", try: reach(metadata + ":80")},
		{name: "denied", o: network.Options{Deny: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, try: reach(worldAddr + ":80")},
		{name: "not allowed", o: network.Options{Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}, try: reach(worldAddr + ":80")},
		{name: "from outside", off: "inbound", try: func(t *testing.T, a, b box) string {
			outside.in(func() {
				l, err := netlink.LinkByName("uplink")
				must(t, err)
				must(t, netlink.RouteReplace(&netlink.Route{
					LinkIndex: l.Attrs().Index, Gw: net.ParseIP(hostAddr), Dst: &net.IPNet{IP: b.Addr.AsSlice(), Mask: net.CIDRMask(32, 32)},
				}))
			})
			got, _ := outside.ask("tcp4", b.Addr.String()+":99")
			return got
		}},
		{name: "another's address", off: "source", try: func(t *testing.T, a, b box) string {
			return listen(t, outside, worldAddr+":700", func() { a.raw(t, ipv4(b.Addr.String(), worldAddr, 700)) })
		}},
		{name: "the host's loopback", off: "loopback host", try: func(t *testing.T, a, b box) string {
			return listen(t, nil, "127.0.0.1:701", func() { a.raw(t, ipv4(a.Addr.String(), "127.0.0.1", 701)) })
		}},
	} {
		t.Run(wall.name, func(t *testing.T) {
			for _, off := range []bool{false, true} {
				o := wall.o
				base := options(t)
				o.Installation, o.Dir = base.Installation, base.Dir
				if off && wall.off == "" {
					o.Deny, o.Allow = nil, nil
				}
				n := open(t, o)
				if off {
					n.Off(strings.Fields(wall.off)...)
				}
				a, b := attach(t, n, "a", "700:700"), attach(t, n, "b")
				b.in(func() { serve(t, ":99", "neighbour") })
				if off && wall.off == "source" { // the kernel's own check is the larger of the link's and of all links'
					must(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("0"), 0))
				}
				got := wall.try(t, a, b)
				if !off && got != "" {
					t.Errorf("reached: %q", got)
				}
				if off && got == "" {
					t.Error("not reached, though the defence is off: the test proves nothing")
				}
				if !off && wall.o.Allow != nil {
					if got, err := a.ask("tcp4", outsideAddr+":80"); err != nil {
						t.Errorf("allowed: %q %v", got, err)
					}
				}
				_, err := n.Sweep(t.Context(), nil)
				must(t, err)
				a.end()
				b.end()
			}
		})
	}
	_ = uplink
}

// TestNames: a name server is reached at port 53 where all else is refused.
func TestNames(t *testing.T) {
	world(t)
	serve(t, hostAddr+":53", "own")
	o := options(t)
	o.Nameservers = []netip.Addr{netip.MustParseAddr(metadata), netip.MustParseAddr(hostAddr), netip.MustParseAddr("fe80::1")}
	n := open(t, o)
	a := attach(t, n, "a")
	for addr, want := range map[string]string{metadata + ":53": "names " + hostAddr, hostAddr + ":53": "own " + a.Addr.String(), metadata + ":80": ""} {
		for _, proto := range []string{"udp4", "tcp4"} {
			if got, err := a.ask(proto, addr); got != want {
				t.Errorf("%s %s: %q %v", proto, addr, got, err)
			}
		}
	}
}

// TestNoIPv6: what a sandbox sends by IPv6 does not arrive.
func TestNoIPv6(t *testing.T) {
	world(t)
	for _, off := range []bool{false, true} {
		n := open(t, options(t))
		if off {
			n.Off("ipv6", "host") // either would be enough
		}
		a := attach(t, n, "a")
		l, err := netlink.LinkByName(a.Link)
		must(t, err)
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+a.Link+"/disable_ipv6", []byte("0"), 0)
		addr, _ := netlink.ParseAddr("fe80::1/64")
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, addr); err != nil {
			t.Skip("network: no IPv6 here: " + err.Error())
		}
		c, err := net.ListenPacket("udp6", "[::]:702")
		must(t, err)
		got := false
		for i := 0; i < 10 && !got; i++ { // the address may not count at once
			a.raw(t, ipv6(702))
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, _, err = c.ReadFrom(make([]byte, 10))
			got = err == nil
		}
		if got != off {
			t.Errorf("off %v: arrived %v", off, got)
		}
		c.Close()
		_, err = n.Sweep(t.Context(), nil)
		must(t, err)
	}
}

// TestPorts: forwarded ports lead in, from outside and from this machine, and nobody has one twice.
func TestPorts(t *testing.T) {
	outside := world(t)
	n := open(t, options(t))
	a := attach(t, n, "a", "8080:80", "8080:80/udp", hostAddr+":8081:80", "127.0.0.1:8082:80")
	a.in(func() { serve(t, ":80", "box") })
	for _, c := range []struct {
		from  *space
		proto string
		addr  string
		want  string
	}{
		{outside, "tcp4", hostAddr + ":8080", "box " + outsideAddr},
		{outside, "udp4", hostAddr + ":8080", "box " + outsideAddr},
		{outside, "tcp4", hostAddr + ":8081", "box " + outsideAddr},
		{outside, "udp4", hostAddr + ":8081", ""},
		{outside, "tcp4", hostAddr + ":8082", ""},
		{nil, "tcp4", hostAddr + ":8080", "box " + hostAddr},
		{nil, "tcp4", "127.0.0.1:8080", "box " + a.Gateway.String()},
		{nil, "udp4", "127.0.0.1:8080", "box " + a.Gateway.String()},
		{nil, "tcp4", "127.0.0.1:8082", "box " + a.Gateway.String()},
		{nil, "tcp4", "127.0.0.1:8081", ""},
	} {
		var got string
		var err error
		if c.from == nil {
			got, err = ask(c.proto, c.addr)
		} else {
			got, err = c.from.ask(c.proto, c.addr)
		}
		if got != c.want {
			t.Errorf("%s %s: %q %v, want %q", c.proto, c.addr, got, err, c.want)
		}
	}
	serve(t, ":9090", "program")
	other := options(t)
	other.Installation, other.Dir = "another", t.TempDir()
	m := open(t, other)
	for _, c := range []struct {
		n     *network.Network
		ports []network.Forward
	}{
		{n, []network.Forward{{HostPort: 8080, Port: 1}}}, {n, []network.Forward{{HostPort: 8081, Port: 1}}}, {n, []network.Forward{{HostPort: 9090, Port: 1}}},
		{n, []network.Forward{{HostPort: 9090, Port: 1, UDP: true}}}, {n, []network.Forward{{HostPort: 1, Port: 1}, {HostPort: 1, Port: 2}}},
		{m, []network.Forward{{HostPort: 8080, Port: 1}}},
	} {
		_, err := c.n.Attach(t.Context(), "b", newSpace(t).file, c.ports)
		if !errors.Is(err, compute.ErrConflict) || compute.Hint(err) == "" {
			t.Errorf("%v: %v", c.ports, err)
		}
	}
	if _, err := n.Attach(t.Context(), "b", newSpace(t).file, []network.Forward{{Address: netip.MustParseAddr("192.0.2.77"), HostPort: 1, Port: 1}}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("not our address: %v", err)
	}
	if list, err := n.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
	// Other ports for the same sandbox: the old ones are gone.
	_, err := n.Attach(t.Context(), "a", a.file, []network.Forward{{HostPort: 8090, Port: 80}})
	must(t, err)
	if got, err := ask("tcp4", "127.0.0.1:8090"); !strings.HasPrefix(got, "box") {
		t.Errorf("%q %v", got, err)
	}
	if got, _ := ask("tcp4", "127.0.0.1:8080"); got != "" {
		t.Errorf("still %q", got)
	}
	must(t, n.Detach(t.Context(), "a"))
	must(t, n.Detach(t.Context(), "a"))
	if got, _ := ask("tcp4", "127.0.0.1:8090"); got != "" {
		t.Errorf("still %q", got)
	}
}

// census counts what is on this machine.
func census(t *testing.T) string {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	must(t, err)
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTables()
	must(t, err)
	chains, err := c.ListChains()
	must(t, err)
	up, _ := os.ReadFile("/proc/sys/net/ipv4/conf/uplink/forwarding")
	all, _ := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	return fmt.Sprintf("links %v, %d routes, %d tables, %d chains, forwarding %s %s", names, len(routes), len(tables), len(chains),
		strings.TrimSpace(string(up)), strings.TrimSpace(string(all)))
}

// TestNothingIsLeft ends attach, detach and sweep at each of their steps, as kill -9 would, and lets another process go on.
func TestNothingIsLeft(t *testing.T) {
	world(t)
	before := census(t)
	for _, verb := range []string{"attach", "detach", "sweep"} {
		t.Run(verb, func(t *testing.T) {
			o := options(t)
			steps := []string{}
			for at := 0; ; at++ {
				n := open(t, o)
				s := newSpace(t)
				ports := []network.Forward{{HostPort: 8080, Port: 80}}
				if verb != "attach" {
					_, err := n.Attach(t.Context(), "box", s.file, ports)
					must(t, err)
				}
				died, count := "", 0
				n.SetStep(func(step string) error {
					if count++; count > at {
						died = step
						return network.ErrCrash
					}
					return nil
				})
				var err error
				switch verb {
				case "attach":
					_, err = n.Attach(t.Context(), "box", s.file, ports)
				case "detach":
					err = n.Detach(t.Context(), "box")
				case "sweep":
					_, err = n.Sweep(t.Context(), nil)
				}
				if died == "" {
					must(t, err)
					n.SetStep(nil)
					if want := map[string]int{"attach": 8, "detach": 3, "sweep": 4}[verb]; len(steps) < want {
						t.Errorf("only %d steps: %v", len(steps), steps)
					}
					_, err = n.Sweep(t.Context(), nil)
					must(t, err)
					break
				}
				steps = append(steps, died)
				if !errors.Is(err, network.ErrCrash) {
					t.Fatalf("at %s: %v", died, err)
				}
				// The next process takes it up, or clears it away.
				next := open(t, o)
				if at%2 == 0 {
					_, err := next.Attach(t.Context(), "box", s.file, ports)
					must(t, err)
					if got, err := (&box{space: s}).ask("tcp4", worldAddr+":80"); got == "" {
						t.Errorf("after a crash at %s: %v", died, err)
					}
					must(t, next.Detach(t.Context(), "box"))
				}
				if _, err := next.Sweep(t.Context(), func(compute.ID) bool { return false }); err != nil {
					t.Fatal(err)
				}
				if after := census(t); after != before {
					t.Errorf("after a crash at %s:\n%s, before\n%s", died, after, before)
				}
				s.end()
			}
			if after := census(t); after != before {
				t.Errorf("%s, before %s", after, before)
			}
		})
	}
}

// TestSweep: the living stay, others' are not touched, and the ports of a name space that ended go.
func TestSweep(t *testing.T) {
	world(t)
	before := census(t)
	n := open(t, options(t))
	other := options(t)
	other.Installation, other.Dir = "another", t.TempDir()
	m := open(t, other)
	a, b, c := attach(t, n, "a", "8080:80"), attach(t, n, "b", "8081:80"), attach(t, m, "c", "8082:80")
	lost := attach(t, n, "lost", "8083:80")
	for _, x := range []box{a, b, c} {
		x.in(func() { serve(t, ":80", "box") })
	}
	lost.end()
	for range 500 {
		if _, err := netlink.LinkByName(lost.Link); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // the kernel ends name spaces behind everybody's back
	}
	gone, err := n.Sweep(t.Context(), func(id compute.ID) bool { return id == "a" })
	if err != nil || gone != 1 {
		t.Errorf("%d %v", gone, err)
	}
	for addr, want := range map[string]bool{"127.0.0.1:8080": true, "127.0.0.1:8081": false, "127.0.0.1:8082": true} {
		if got, err := ask("tcp4", addr); (got != "") != want {
			t.Errorf("%s: %q %v", addr, got, err)
		}
	}
	if _, err := n.Attach(t.Context(), "d", newSpace(t).file, []network.Forward{{HostPort: 8083, Port: 1}}); err != nil {
		t.Errorf("the port of the lost one: %v", err)
	}
	if gone, err := n.Sweep(t.Context(), nil); err != nil || gone != 2 {
		t.Errorf("%d %v", gone, err)
	}
	if got, err := c.ask("tcp4", worldAddr+":80"); got == "" {
		t.Errorf("another installation's sandbox lost its network: %v", err)
	}
	if _, err := m.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := n.Sweep(t.Context(), nil); err != nil { // the last one switches forwarding off, whoever it was
		t.Error(err)
	}
	if after := census(t); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

// TestFlows: one sandbox cannot fill the kernel's table of connections.
func TestFlows(t *testing.T) {
	world(t)
	for _, off := range []bool{false, true} {
		n := open(t, options(t))
		n.SetFlows(10)
		if off {
			n.Off("flows")
		}
		a, b := attach(t, n, "a"), attach(t, n, "b")
		served := 0
		for range 20 {
			if got, _ := a.ask("udp4", worldAddr+":80"); got != "" { // remembered for half a minute
				served++
			}
		}
		if want := map[bool]int{false: 10, true: 20}[off]; served != want {
			t.Errorf("off %v: %d connections, want %d", off, served, want)
		}
		if got, err := b.ask("udp4", worldAddr+":80"); got == "" {
			t.Errorf("another sandbox has none left: %v", err)
		}
		_, err := n.Sweep(t.Context(), nil)
		must(t, err)
	}
}

// TestForget: with a network go the connections that the kernel remembers of it, and no others.
func TestForget(t *testing.T) {
	world(t)
	serve(t, ":7777", "host")
	n := open(t, options(t))
	a, b := attach(t, n, "a", "8080:80"), attach(t, n, "b", "8081:80")
	for _, x := range []box{a, b} {
		x.in(func() { serve(t, ":80", "box") })
		if got, err := x.ask("tcp4", worldAddr+":80"); got == "" {
			t.Fatal(err)
		}
	}
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:7777"} {
		if got, err := ask("tcp4", addr); got == "" {
			t.Fatal(err)
		}
	}
	remembered := func(addr netip.Addr) (n int) {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		must(t, err)
		for _, f := range flows {
			if f.Forward.SrcIP.Equal(addr.AsSlice()) || f.Reverse.SrcIP.Equal(addr.AsSlice()) {
				n++
			}
		}
		return n
	}
	if remembered(a.Addr) != 2 || remembered(b.Addr) != 2 {
		t.Fatalf("%d, %d", remembered(a.Addr), remembered(b.Addr))
	}
	must(t, n.Detach(t.Context(), "a"))
	if remembered(a.Addr) != 0 || remembered(b.Addr) != 2 {
		t.Errorf("%d, %d", remembered(a.Addr), remembered(b.Addr))
	}
}

// TestManyAtOnce: two installations with the same range, each in several processes, never give an address twice.
func TestManyAtOnce(t *testing.T) {
	world(t)
	first, second := options(t), options(t)
	first.Range = netip.MustParsePrefix("10.9.9.0/27")
	second.Installation, second.Range = "another", first.Range
	got := make(chan netip.Addr)
	const each = 12
	for i := range 2 * each {
		n := open(t, []network.Options{first, second}[i%2])
		s := newSpace(t)
		go func() {
			a, err := n.Attach(bg(), compute.ID(fmt.Sprintf("box-%d", i)), s.file, nil)
			if err != nil {
				t.Error(err)
			}
			got <- a.Addr
		}()
	}
	var all []netip.Addr
	for range 2 * each {
		a := <-got
		if slices.Contains(all, a) || !first.Range.Contains(a) {
			t.Errorf("%s twice, or out of the range", a)
		}
		all = append(all, a)
	}
	n := open(t, first)
	for i := range 5 { // 29 are there
		_, err := n.Attach(t.Context(), compute.ID(fmt.Sprintf("more-%d", i)), newSpace(t).file, nil)
		must(t, err)
	}
	if _, err := n.Attach(t.Context(), "last", newSpace(t).file, nil); !errors.Is(err, compute.ErrNoCapacity) {
		t.Errorf("%v", err)
	}
}

// TestRange: a range that the machine has a route to is not taken.
func TestRange(t *testing.T) {
	world(t)
	l, err := netlink.LinkByName("uplink")
	must(t, err)
	_, dst, _ := net.ParseCIDR("10.0.0.0/8")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}))
	o := options(t)
	n := open(t, o)
	if a := attach(t, n, "a"); !netip.MustParsePrefix("198.18.64.0/18").Contains(a.Addr) {
		t.Errorf("%s", a.Addr)
	}
	o.Range, o.Dir = netip.MustParsePrefix("10.1.0.0/16"), t.TempDir()
	if _, err := network.Open(t.Context(), o); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("%v", err)
	}
	for name, bad := range map[string]network.Options{
		"no installation": {Dir: t.TempDir()}, "IPv6": {Installation: "x", Dir: t.TempDir(), Range: netip.MustParsePrefix("fd00::/64")},
		"small": {Installation: "x", Dir: t.TempDir(), Range: netip.MustParsePrefix("10.0.0.0/30")},
	} {
		if _, err := network.Open(t.Context(), bad); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRefused: what makes no sense, and what an ordinary user may not.
func TestRefused(t *testing.T) {
	n, err := network.Open(t.Context(), options(t))
	must(t, err)
	runtime.LockOSThread() // others of the test's threads are elsewhere
	own, err := os.Open("/proc/thread-self/ns/net")
	runtime.UnlockOSThread()
	must(t, err)
	defer own.Close()
	if _, err := n.Attach(t.Context(), "a", own, nil); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("our own name space: %v", err)
	}
	for _, id := range []compute.ID{"", "a b", compute.ID(strings.Repeat("x", 129))} {
		if _, err := n.Attach(t.Context(), id, own, nil); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Attach(ctx, "a", own, nil); !errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if os.Geteuid() == 0 {
		return
	}
	file, err := os.CreateTemp(t.TempDir(), "") // not a name space, but that is not what is looked at first
	must(t, err)
	defer file.Close()
	if _, err := n.Attach(t.Context(), "a", file, nil); !errors.Is(err, compute.ErrDenied) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("an ordinary user: %v", err)
	}
	if _, err := n.Sweep(t.Context(), nil); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("an ordinary user: %v", err)
	}
}

func TestExamine(t *testing.T) {
	findings := network.Examine(t.Context())
	if os.Geteuid() != 0 {
		if len(findings) != 1 || findings[0].Result != "skip" {
			t.Errorf("%v", findings)
		}
		return
	}
	if findings[0].Result != "ok" || !slices.ContainsFunc(findings, func(f compute.Finding) bool { return f.Result == "warn" && strings.Contains(f.What, "way out") }) {
		t.Errorf("%v", findings)
	}
	world(t)
	c, err := nftables.New()
	must(t, err)
	drop := nftables.ChainPolicyDrop
	table := c.AddTable(&nftables.Table{Name: "firewall", Family: nftables.TableFamilyIPv4})
	c.AddChain(&nftables.Chain{Table: table, Name: "FORWARD", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	must(t, c.Flush())
	defer func() { c.DelTable(table); must(t, c.Flush()) }()
	before := census(t)
	findings = network.Examine(t.Context())
	if !slices.ContainsFunc(findings, func(f compute.Finding) bool {
		return f.Result == "warn" && strings.Contains(f.Detail, "table firewall")
	}) {
		t.Errorf("%v", findings)
	}
	if after := census(t); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

// listen returns what arrives at an address in a name space (nil: here) while do sends.
func listen(t *testing.T, s *space, addr string, do func()) string {
	t.Helper()
	var c net.PacketConn
	get := func() {
		var err error
		c, err = net.ListenPacket("udp4", addr)
		must(t, err)
	}
	if s == nil {
		get()
	} else {
		s.in(get)
	}
	defer c.Close()
	do()
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	buf := make([]byte, 100)
	n, _, _ := c.ReadFrom(buf)
	return string(buf[:n])
}

// raw sends a packet as nobody's kernel would let it out.
func (b box) raw(t *testing.T, packet []byte) {
	t.Helper()
	l, err := netlink.LinkByName(b.Link)
	must(t, err)
	b.in(func() {
		proto := uint16(unix.ETH_P_IP)
		if packet[0]>>4 == 6 {
			proto = unix.ETH_P_IPV6
		}
		swapped := proto<<8 | proto>>8
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(swapped))
		must(t, err)
		defer unix.Close(fd)
		mine, err := netlink.LinkByName("eth0")
		must(t, err)
		to := &unix.SockaddrLinklayer{Protocol: swapped, Ifindex: mine.Attrs().Index, Halen: 6}
		copy(to.Addr[:], l.Attrs().HardwareAddr)
		must(t, unix.Sendto(fd, packet, 0, to))
	})
}

// ipv4 is a UDP packet with the text "hello".
func ipv4(from, to string, port uint16) []byte {
	body := udp(port)
	b := []byte{0x45, 0, 0, byte(20 + len(body)), 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	b = append(b, net.ParseIP(from).To4()...)
	b = append(b, net.ParseIP(to).To4()...)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum&0xffff+sum>>16))
	return append(b, body...)
}

func udp(port uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, 1234)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, 13)
	return append(append(b, 0, 0), "hello"...) // no sum
}

// ipv6 is the same for fe80::1, which needs a sum.
func ipv6(port uint16) []byte {
	body := udp(port)
	b := append([]byte{0x60, 0, 0, 0, 0, byte(len(body)), unix.IPPROTO_UDP, 1}, net.ParseIP("fe80::2")...)
	b = append(b, net.ParseIP("fe80::1")...)
	sum := uint32(len(body)) + unix.IPPROTO_UDP
	for _, part := range [][]byte{b[8:40], append(slices.Clone(body), 0)} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(body[6:], ^uint16(sum))
	return append(b, body...)
}

func BenchmarkAttach(b *testing.B) {
	world(b)
	n, err := network.Open(b.Context(), network.Options{Installation: "bench", Dir: b.TempDir()})
	must(b, err)
	defer func() { _, _ = n.Sweep(bg(), nil) }()
	keep := newSpace(b)
	_, err = n.Attach(b.Context(), "keep", keep.file, nil)
	must(b, err)
	for name, ports := range map[string][]network.Forward{"plain": nil, "port": {{HostPort: 8080, Port: 80}}} {
		b.Run(name, func(b *testing.B) {
			var attach, detach time.Duration
			for b.Loop() {
				s := newSpace(b)
				at := time.Now()
				_, err := n.Attach(b.Context(), "box", s.file, ports)
				must(b, err)
				mid := time.Now()
				must(b, n.Detach(b.Context(), "box"))
				attach, detach = attach+mid.Sub(at), detach+time.Since(mid)
				s.end()
			}
			b.ReportMetric(float64(attach.Microseconds())/float64(b.N), "µs/attach")
			b.ReportMetric(float64(detach.Microseconds())/float64(b.N), "µs/detach")
		})
	}
	b.Run("open", func(b *testing.B) {
		o := network.Options{Installation: "bench", Dir: b.TempDir()}
		for b.Loop() {
			_, err := network.Open(b.Context(), o)
			must(b, err)
		}
	})
}
