//go:build linux

// Package world makes the surroundings of an instance in which all ways out lead somewhere.
package world

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/hostler-project/hostler/compute/computetest/wayout"
)

// Build makes a way out of this thread's network, with servers behind it and on this side. end
// removes all of it, and must be called in the same network.
func Build() (end func(), err error) {
	var closers []interface{ Close() error }
	var there netns.NsHandle
	end = func() {
		for _, c := range closers {
			_ = c.Close()
		}
		for _, name := range []string{"uplink", "other"} {
			if l, err := netlink.LinkByName(name); err == nil {
				_ = netlink.LinkDel(l)
			}
		}
		_ = exec.Command("nft", "delete table ip published").Run()
		_ = there.Close()
	}
	all := append([]string{wayout.World}, wayout.Far...)
	err = elsewhere(func() (err error) {
		there, err = netns.New()
		return errors.Join(err, address("lo", all...), answer(&closers, all, 80))
	})
	if err != nil {
		return end, err
	}
	here := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "uplink", PeerNamespace: netlink.NsFd(there),
	}
	other := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "other"}}
	err = errors.Join(netlink.LinkAdd(here), netlink.LinkAdd(other),
		address("uplink", wayout.Host+"/24"), address("other", wayout.Local+"/16"),
		elsewhere(func() error {
			return errors.Join(netns.Set(there), address("uplink", wayout.Next+"/24"))
		}))
	if err != nil {
		return end, err
	}
	const leads = "fib daddr type local tcp dport 8081 dnat to " + wayout.World + ":80; "
	return end, errors.Join(netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(wayout.Next)}),
		answer(&closers, []string{wayout.Host}, 80, 7777),
		os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0),
		exec.Command("nft", "table ip published { "+
			"chain pre { type nat hook prerouting priority -100; "+leads+"}; "+
			"chain out { type nat hook output priority -100; "+leads+"}; }").Run())
}

// elsewhere runs do in a thread of its own, which then ends.
func elsewhere(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

// address gives a link addresses and sets it up.
func address(name string, all ...string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !strings.Contains(a, "/") {
			a += "/32"
		}
		addr, err := netlink.ParseAddr(a)
		if err == nil {
			err = netlink.AddrAdd(l, addr)
		}
		if err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

// answer serves "yes" by TCP at all addresses of this thread's network, and by UDP at addrs.
func answer(closers *[]interface{ Close() error }, addrs []string, ports ...int) error {
	for _, port := range ports {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: port})
		if err != nil {
			return err
		}
		*closers = append(*closers, l)
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				_, _ = c.Write([]byte("yes"))
				_ = c.Close()
			}
		}()
		for _, a := range addrs {
			u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(a), Port: port})
			if err != nil {
				return err
			}
			*closers = append(*closers, u)
			go func() {
				b := make([]byte, 10)
				for _, from, err := u.ReadFrom(b); err == nil; _, from, err = u.ReadFrom(b) {
					_, _ = u.WriteTo([]byte("yes"), from)
				}
			}()
		}
	}
	return nil
}
