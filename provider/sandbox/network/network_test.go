//go:build linux

package network_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
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
			t.Errorf(`%s: got = %q err = %v; want got == "world "+hostAddr`, proto, got, err)
		}
	}
	a.in(func() {
		links, err := netlink.LinkList()
		must(t, err)
		for _, l := range links {
			if at := l.Attrs(); at.Flags&net.FlagUp == 0 || at.Name != "lo" && at.MTU != 1400 {
				t.Errorf(
					"%s: at.Flags = %v at.MTU = %d"+
						`; want at.Flags&net.FlagUp != 0 and (at.Name == "lo" or at.MTU == 1400)`,
					at.Name, at.Flags, at.MTU,
				)
			}
			if addrs, err := netlink.AddrList(l, netlink.FAMILY_V6); err == nil && l.Attrs().Name != "lo" && len(addrs) > 0 {
				t.Errorf("IPv6: %v", addrs)
			}
		}
	})
	// Again is the same; another name space is another network.
	again, err := n.Attach(t.Context(), "box-1", a.file, nil)
	if err != nil || again != a.Address {
		t.Errorf("again = %v err = %v; want no error and again == a.Address", again, err)
	}
	b := attach(t, n, "box-1")
	if got, err := b.ask("tcp4", worldAddr+":80"); got == "" {
		t.Error(err)
	}
	if got, err := a.ask("tcp4", worldAddr+":80"); err == nil {
		t.Errorf("the former name space still has a network: %s", got)
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
		{n, []network.Forward{{HostPort: 8080, Port: 1}}}, {n, []network.Forward{{HostPort: 8081, Port: 1}}},
		{n, []network.Forward{{HostPort: 9090, Port: 1}}},
		{n, []network.Forward{{HostPort: 9090, Port: 1, UDP: true}}},
		{n, []network.Forward{{HostPort: 1, Port: 1}, {HostPort: 1, Port: 2}}},
		{m, []network.Forward{{HostPort: 8080, Port: 1}}},
	} {
		_, err := c.n.Attach(t.Context(), "b", newSpace(t).file, c.ports)
		if !errors.Is(err, compute.ErrConflict) || compute.Hint(err) == "" {
			t.Errorf(`%v: err = %v; want error compute.ErrConflict and compute.Hint(err) != ""`, c.ports, err)
		}
	}
	if _, err := n.Attach(
		t.Context(), "b", newSpace(t).file,
		[]network.Forward{{Address: netip.MustParseAddr("192.0.2.77"), HostPort: 1, Port: 1}},
	); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("not our address: %v", err)
	}
	if links, err := netlink.LinkList(); err != nil ||
		len(slices.DeleteFunc(links, func(l netlink.Link) bool { return !strings.HasPrefix(l.Attrs().Name, "hs") })) != 1 {
		t.Errorf("what could not be attached left a link: %v %v", links, err)
	}
	// Other ports for the same sandbox: the old ones are gone.
	_, err := n.Attach(t.Context(), "a", a.file, []network.Forward{{HostPort: 8090, Port: 80}})
	must(t, err)
	if got, err := ask("tcp4", "127.0.0.1:8090"); !strings.HasPrefix(got, "box") {
		t.Errorf(`got = %q err = %v; want strings.HasPrefix(got, "box")`, got, err)
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
		t.Errorf(`a.Addr = %s; want netip.MustParsePrefix("198.18.64.0/18").Contains(a.Addr)`, a.Addr)
	}
	o.Range, o.Dir = netip.MustParsePrefix("10.1.0.0/16"), t.TempDir()
	if _, err := network.Open(t.Context(), o); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("err = %v; want error compute.ErrConflict", err)
	}
	for name, bad := range map[string]network.Options{
		"no installation": {Dir: t.TempDir()}, "IPv6": {Installation: "x", Dir: t.TempDir(), Range: netip.MustParsePrefix("fd00::/64")},
		"small": {Installation: "x", Dir: t.TempDir(), Range: netip.MustParsePrefix("10.0.0.0/30")},
	} {
		if _, err := network.Open(t.Context(), bad); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid", name, err)
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
			t.Errorf("%q: err = %v; want error compute.ErrInvalid", id, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Attach(ctx, "a", own, nil); !errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("err = %v; want error compute.ErrUnavailable or error compute.ErrInvalid", err)
	}
	if os.Geteuid() == 0 {
		return
	}
	// not a name space, but that is not what is looked at first
	file, err := os.CreateTemp(t.TempDir(), "")
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
			t.Errorf(`findings = %v; want len(findings) == 1 and findings[0].Result == "skip"`, findings)
		}
		return
	}
	if findings[0].Result != "ok" ||
		!slices.ContainsFunc(findings, func(f compute.Finding) bool { return f.Result == "warn" && strings.Contains(f.What, "way out") }) {
		t.Errorf("findings = %v", findings)
	}
	world(t)
	c, err := nftables.New()
	must(t, err)
	drop := nftables.ChainPolicyDrop
	table := c.AddTable(&nftables.Table{Name: "firewall", Family: nftables.TableFamilyIPv4})
	c.AddChain(&nftables.Chain{
		Table: table, Name: "FORWARD", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityFilter, Policy: &drop,
	})
	must(t, c.Flush())
	defer func() { c.DelTable(table); must(t, c.Flush()) }()
	before := census(t)
	findings = network.Examine(t.Context())
	if !slices.ContainsFunc(findings, func(f compute.Finding) bool {
		return f.Result == "warn" && strings.Contains(f.Detail, "table firewall")
	}) {
		t.Errorf("findings = %v", findings)
	}
	if after := census(t); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

// TestTurn: who waits for another process's turn can give up, and the next one has it.
func TestTurn(t *testing.T) {
	world(t)
	o := options(t)
	n := open(t, o)
	lock, err := os.Open(filepath.Join(o.Dir, "lock"))
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	ns := newSpace(t).file
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := n.Attach(ctx, "a", ns, nil); !errors.Is(err, compute.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v; want error compute.ErrUnavailable and error context.DeadlineExceeded", err)
	}
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_UN))
	attach(t, n, "a")
}
