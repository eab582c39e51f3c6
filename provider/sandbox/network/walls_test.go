//go:build linux

package network_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// TestWalls: each of the things that a sandbox must not reach, and that it does when the defence is
// off.
func TestWalls(t *testing.T) {
	outside := world(t)
	serve(t, hostAddr+":7777", "host")
	serve(t, ":7779", "host")
	serve(t, "127.0.0.1:7778", "host")
	bridged(t)
	translate(t, 7070, bridgedAddr+":80", unix.RTN_LOCAL)
	translate(t, 7071, bridgedAddr+":80", unix.RTN_UNICAST)
	reach := func(addr string) func(t *testing.T, a, b sandboxNet) string {
		return func(t *testing.T, a, b sandboxNet) (all string) {
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
		try       func(t *testing.T, a, b sandboxNet) string
	}{
		{name: "the host by its address", off: "host", try: reach(hostAddr + ":7777")},
		{name: "the host by the gateway", off: "host", try: reach("G:7779")},
		{name: "another sandbox", off: "neighbours inbound", try: reach("B:99")},
		{name: "a port of the host that leads elsewhere", off: "host", try: reach(hostAddr + ":7070")},
		{name: "a port of the gateway that leads elsewhere", off: "host", try: reach("G:7070")},
		{name: "metadata", off: "metadata", try: reach(metadata + ":80")},
		{name: "metadata that is answered elsewhere", off: "metadata", try: reach(metadata + ":7071")},
		{name: "the internet", o: network.Options{Egress: policy(t, "private")}, try: reach(worldAddr + ":80")},
		{name: "not allowed", o: network.Options{Egress: policy(t, "45.83.65.0/24")}, try: reach(worldAddr + ":80")},
		{name: "from outside", off: "inbound", try: func(t *testing.T, a, b sandboxNet) string {
			outside.in(func() {
				l, err := netlink.LinkByName("uplink")
				must(t, err)
				must(t, netlink.RouteReplace(&netlink.Route{
					LinkIndex: l.Attrs().Index, Gw: net.ParseIP(hostAddr),
					Dst: &net.IPNet{IP: b.Addr.AsSlice(), Mask: net.CIDRMask(32, 32)},
				}))
			})
			got, _ := outside.ask("tcp4", b.Addr.String()+":99")
			return got
		}},
		{name: "another's address", off: "source", try: func(t *testing.T, a, b sandboxNet) string {
			return listen(t, outside, worldAddr+":700", func() { a.raw(t, ipv4(b.Addr.String(), worldAddr, 700)) })
		}},
		{name: "the host's loopback", off: "loopback host metadata", try: func(t *testing.T, a, b sandboxNet) string {
			return listen(t, nil, "127.0.0.1:701", func() { a.raw(t, ipv4(a.Addr.String(), "127.0.0.1", 701)) })
		}},
	} {
		t.Run(wall.name, func(t *testing.T) {
			for _, off := range []bool{false, true} {
				o := wall.o
				if o.Egress.String() == "internet" {
					o.Egress = policy(t, "internet", "private") // what is refused even then
				}
				base := options(t)
				o.Installation, o.Dir = base.Installation, base.Dir
				if off && wall.off == "" {
					o.Egress = egress.Policy{}
				}
				n := open(t, o)
				if off {
					n.Off(strings.Fields(wall.off)...)
				}
				a, b := attach(t, n, "a", "700:700"), attach(t, n, "b")
				b.in(func() { serve(t, ":99", "neighbour") })
				// the kernel's own check is the larger of the link's and of all links'
				if off && wall.off == "source" {
					must(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("0"), 0))
				}
				got := wall.try(t, a, b)
				if !off && got != "" {
					t.Errorf("reached: %q", got)
				}
				if off && got == "" {
					t.Error("not reached, though the defence is off: the test proves nothing")
				}
				if !off && wall.name == "not allowed" {
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
}

// TestEgress: each policy reaches what it says, by TCP and UDP, and nothing else.
func TestEgress(t *testing.T) {
	world(t)
	serve(t, hostAddr+":80", "host")
	all := []string{worldAddr, outsideAddr, metadata, privateAddr, hostAddr}
	// of this name space: each refusal is answered
	must(t, os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0))
	for words, want := range map[string]string{
		"":                              worldAddr + " " + outsideAddr,
		"none":                          "",
		"private":                       privateAddr,
		"internet,private":              worldAddr + " " + outsideAddr + " " + privateAddr,
		"internet:80,private:443":       worldAddr + " " + outsideAddr,
		"45.83.64.0/24":                 worldAddr,
		"45.83.64.0/24:1-79":            "",
		"0.0.0.0/0:80":                  worldAddr + " " + outsideAddr + " " + privateAddr,
		metadata + ":80," + privateAddr: metadata + " " + privateAddr,
		hostAddr + ",2001:db8::/32":     "",
	} {
		o := options(t)
		o.Installation = strings.Map(func(r rune) rune {
			if r == ',' || r == '/' || r == ':' || r == '.' {
				return '-'
			}
			return r
		}, "egress-"+words)
		o.Egress = policy(t, strings.FieldsFunc(words, func(r rune) bool { return r == ',' })...)
		n := open(t, o)
		a := attach(t, n, "a")
		var got []string
		for _, addr := range all {
			tcp, _ := a.ask("tcp4", addr+":80")
			udp, _ := a.ask("udp4", addr+":80")
			if (tcp != "") != (udp != "") {
				t.Errorf("egress = %s: %s: %q by TCP, %q by UDP", words, addr, tcp, udp)
			}
			if tcp != "" {
				got = append(got, addr)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("egress = %s reaches %s, want %s", words, s, want)
		}
	}
}

// TestNames: a name server is reached at port 53 where all else is refused.
func TestNames(t *testing.T) {
	world(t)
	serve(t, hostAddr+":53", "own")
	o := options(t)
	o.Nameservers = []netip.Addr{netip.MustParseAddr(metadata), netip.MustParseAddr(hostAddr), netip.MustParseAddr("fe80::1")}
	n := open(t, o)
	a := attach(t, n, "a")
	for addr, want := range map[string]string{
		metadata + ":53": "names " + hostAddr, hostAddr + ":53": "own " + a.Addr.String(), metadata + ":80": "",
	} {
		for _, proto := range []string{"udp4", "tcp4"} {
			if got, err := a.ask(proto, addr); got != want {
				t.Errorf("proto = %s addr = %s: got = %q err = %v; want got == want", proto, addr, got, err)
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
		// the kernel counts those that it has confirmed, and on a busy machine one more gets through
		if want := map[bool]int{false: 10, true: 20}[off]; served < want || served > want+1 {
			t.Errorf("off %v: %d connections, want %d", off, served, want)
		}
		if got, err := b.ask("udp4", worldAddr+":80"); got == "" {
			t.Errorf("another sandbox has none left: %v", err)
		}
		_, err := n.Sweep(t.Context(), nil)
		must(t, err)
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
func (b sandboxNet) raw(t *testing.T, packet []byte) {
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
