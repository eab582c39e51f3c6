// Package wayout lists the ways out of an instance that its policy closes, for the tests of all
// sources that have one. It imports nothing of ours, so that programs inside can use it.
package wayout

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The addresses of the world in which tests try the ways. They lie in a network of the test's own.
const (
	World = "45.83.64.10" // somewhere on the internet
	Host  = "45.83.65.1"  // this machine, on its way out
	Next  = "45.83.65.2"  // the other end of that
	Local = "172.18.0.1"  // this machine, on another program's bridge
	gate  = "gateway"     // stands for the address that an instance has its default route by
)

// Far are the addresses behind the way out that have a server. A policy opens them only by name.
var Far = []string{
	"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192",
	"10.0.0.1", "10.255.255.254", "172.16.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1",
}

// Way is one try to get out.
type Way struct {
	UDP  bool
	Host string // an address, a name, or gate
	Port int
}

// All returns the ways: 40.
func All() (out []Way) {
	for _, host := range slices.Concat(Far, []string{
		Host, Local, "127.0.0.1", "0.0.0.0", "127.1.2.3", "::1", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "::ffff:10.0.0.1", "fd00:ec2::254", "fe80::1", "64:ff9b::a9fe:a9fe",
		"meta.good.example", "lo.good.example", "lan.good.example", "here.good.example",
		gate, "0xa9fea9fe", "2852039166", "0251.0376.0251.0376",
	}) {
		out = append(out, Way{Host: host, Port: 80})
	}
	out = append(out, Way{Host: gate, Port: 7777}, Way{Host: Host, Port: 7777},
		Way{Host: Host, Port: 8081}, Way{Host: gate, Port: 8081}) // the last two lead to World
	for _, host := range []string{"169.254.169.254", "10.0.0.1", "192.168.1.1", Host} {
		out = append(out, Way{UDP: true, Host: host, Port: 80})
	}
	return out
}

// String returns the way in three words.
func (w Way) String() string {
	proto := "tcp"
	if w.UDP {
		proto = "udp"
	}
	return proto + " " + w.Host + " " + strconv.Itoa(w.Port)
}

// Lines returns all the ways, one a line.
func Lines() string {
	var b strings.Builder
	for _, w := range All() {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}

// Reached reports whether a server answers "yes" there. gateway replaces gate.
func (w Way) Reached(gateway string) bool {
	host, proto := w.Host, "tcp"
	if host == gate {
		host = gateway
	}
	if a, ok := number(host); ok {
		host = a.String()
	}
	if w.UDP {
		proto = "udp"
	}
	const patience = 700 * time.Millisecond
	c, err := net.DialTimeout(proto, net.JoinHostPort(host, strconv.Itoa(w.Port)), patience)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if w.UDP {
		_, _ = c.Write([]byte("?"))
	}
	b := make([]byte, 10)
	n, _ := c.Read(b)
	return string(b[:n]) == "yes"
}

// number reads an address as C programs do, which accept numbers of any base.
func number(host string) (netip.Addr, bool) {
	var a uint64
	parts := strings.Split(host, ".")
	if len(parts) != 1 && len(parts) != 4 {
		return netip.Addr{}, false
	}
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil || len(parts) > 1 && n > 255 {
			return netip.Addr{}, false
		}
		a = a<<8 | n
	}
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), true
}
