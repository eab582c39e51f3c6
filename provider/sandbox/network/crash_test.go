//go:build linux

package network_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
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

// TestNothingIsLeft ends attach, detach and sweep at each of their steps, as kill -9 would, and
// lets another process go on.
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
					if got, err := (&sandboxNet{space: s}).ask("tcp4", worldAddr+":80"); got == "" {
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
	for _, x := range []sandboxNet{a, b, c} {
		x.in(func() { serve(t, ":80", "box") })
	}
	lost.end()
	for range 3000 {
		if _, err := netlink.LinkByName(lost.Link); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // the kernel ends name spaces behind everybody's back
	}
	gone, err := n.Sweep(t.Context(), func(id compute.ID) bool { return id == "a" })
	if err != nil || gone != 1 {
		t.Errorf("gone = %d err = %v; want no error and gone == 1", gone, err)
	}
	for addr, want := range map[string]bool{"127.0.0.1:8080": true, "127.0.0.1:8081": false, "127.0.0.1:8082": true} {
		if got, err := ask("tcp4", addr); (got != "") != want {
			t.Errorf(`%s: got = %q err = %v; want (got != "") == want`, addr, got, err)
		}
	}
	if _, err := n.Attach(t.Context(), "d", newSpace(t).file, []network.Forward{{HostPort: 8083, Port: 1}}); err != nil {
		t.Errorf("the port of the lost one: %v", err)
	}
	if gone, err := n.Sweep(t.Context(), nil); err != nil || gone != 2 {
		t.Errorf("gone = %d err = %v; want no error and gone == 2", gone, err)
	}
	if got, err := c.ask("tcp4", worldAddr+":80"); got == "" {
		t.Errorf("another installation's sandbox lost its network: %v", err)
	}
	if _, err := m.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	// the last one switches forwarding off, whoever it was
	if _, err := n.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if after := census(t); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

// TestForget: with a network go the connections that the kernel remembers of it, and no others.
func TestForget(t *testing.T) {
	world(t)
	serve(t, ":7777", "host")
	n := open(t, options(t))
	a, b := attach(t, n, "a", "8080:80"), attach(t, n, "b", "8081:80")
	for _, x := range []sandboxNet{a, b} {
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
		t.Fatalf(
			"remembered(a.Addr) = %d, remembered(b.Addr) = %d"+
				"; want remembered(a.Addr) == 2 and remembered(b.Addr) == 2",
			remembered(a.Addr), remembered(b.Addr),
		)
	}
	must(t, n.Detach(t.Context(), "a"))
	if remembered(a.Addr) != 0 || remembered(b.Addr) != 2 {
		t.Errorf(
			"remembered(a.Addr) = %d, remembered(b.Addr) = %d"+
				"; want remembered(a.Addr) == 0 and remembered(b.Addr) == 2",
			remembered(a.Addr), remembered(b.Addr),
		)
	}
}

// TestManyAtOnce: two installations with the same range, each in several processes, never give an
// address twice.
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
		t.Errorf("err = %v; want error compute.ErrNoCapacity", err)
	}
}
