//go:build linux

package network_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// TestMain runs this program again in a network name space of its own, so that "this machine" is
// one made for the tests.
func TestMain(m *testing.M) {
	if os.Getenv("HOSTLER_NETWORK_TEST") == "inside" {
		prisoner()
		os.Exit(0)
	}
	if len(os.Args) == 5 && os.Args[1] == "answer" {
		if err := network.Answer(
			bg(), os.Args[3], os.Args[4], os.Args[2], slog.New(slog.NewTextHandler(os.Stderr, nil)), os.Stdout,
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv("HOSTLER_NETWORK_TEST") != "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "HOSTLER_NETWORK_TEST=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// space is a network name space with a thread that lives in it.
type space struct {
	t    testing.TB
	file *os.File
	todo chan func()
}

func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{t: t, todo: make(chan func())}
	ready, todo := make(chan error), s.todo
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the name space
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
		if err != nil {
			return
		}
		for f := range todo {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// end closes the name space, as the end of a sandbox's last process does.
func (s *space) end() {
	if s.todo != nil {
		close(s.todo)
		s.todo = nil
		s.file.Close()
	}
}

// in runs f in the name space.
func (s *space) in(f func()) {
	done := make(chan struct{})
	s.todo <- func() { defer close(done); f() }
	<-done
}

const (
	hostAddr    = "45.83.65.1"
	outsideAddr = "45.83.65.2"
	worldAddr   = "45.83.64.10" // somewhere in the world
	metadata    = "169.254.169.254"
	privateAddr = "10.66.0.1" // in a network that this machine reaches
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world makes this machine's way out: a link to a name space that has some addresses of the world,
// each with a server that says who calls.
func world(t testing.TB) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network: needs root")
	}
	outside := newSpace(t)
	uplink := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "uplink", MTU: 1400}, PeerName: "uplink", PeerNamespace: netlink.NsFd(outside.file.Fd()),
	}
	must(t, netlink.LinkAdd(uplink))
	t.Cleanup(func() { _ = netlink.LinkDel(uplink) })
	up := func(name string, addrs ...string) {
		l, err := netlink.LinkByName(name)
		must(t, err)
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			must(t, err)
			must(t, netlink.AddrAdd(l, addr))
		}
		must(t, netlink.LinkSetUp(l))
	}
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	up("uplink", hostAddr+"/24")
	outside.in(func() {
		up("uplink", outsideAddr+"/24")
		up("lo", worldAddr+"/32", metadata+"/32", privateAddr+"/32")
		// one by one, so that each answers from where it was asked
		for _, a := range []string{worldAddr, outsideAddr, metadata, privateAddr} {
			serve(t, a+":80", "world")
			serve(t, a+":53", "names")
		}
	})
	gw := net.ParseIP(outsideAddr)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: uplink.Index, Gw: gw}))
	return outside
}

// addTo gives a link one more address.
func addTo(t testing.TB, name, addr string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	a, err := netlink.ParseAddr(addr)
	must(t, err)
	must(t, netlink.AddrAdd(l, a))
}

// serve answers, TCP and UDP, with a word and the address of who asks. It listens in the calling
// thread's name space.
func serve(t testing.TB, addr, word string) {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	must(t, err)
	u, err := net.ListenPacket("udp4", addr)
	must(t, err)
	t.Cleanup(func() { l.Close(); u.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "%s %s\n", word, host)
			c.Close()
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(from.String())
			_, _ = u.WriteTo(fmt.Appendf(nil, "%s %s\n", word, host), from)
		}
	}()
}

// ask calls a server in this thread's name space.
func ask(proto, addr string) (string, error) {
	c, err := net.DialTimeout(proto, addr, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if proto == "udp4" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return strings.TrimSpace(line), err
}

// ask calls from the name space.
func (s *space) ask(proto, addr string) (out string, err error) {
	s.in(func() { out, err = ask(proto, addr) })
	return out, err
}

func policy(t testing.TB, words ...string) egress.Policy {
	t.Helper()
	p, err := egress.Parse(words)
	must(t, err)
	return p
}

func options(t testing.TB) network.Options {
	return network.Options{Installation: "test-" + strings.ReplaceAll(t.Name(), "/", "-"), Dir: t.TempDir()}
}

func open(t testing.TB, o network.Options) *network.Network {
	t.Helper()
	if len(o.Installation) > 60 {
		o.Installation = o.Installation[:60]
	}
	n, err := network.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		n.SetStep(nil)
		if _, err := n.Sweep(bg(), nil); err != nil {
			t.Error(err)
		}
	})
	return n
}

// sandboxNet is a sandbox with a network.
type sandboxNet struct {
	*space
	network.Address
}

func attach(t testing.TB, n *network.Network, id string, ports ...string) sandboxNet {
	t.Helper()
	s := newSpace(t)
	var forwards []network.Forward
	for _, p := range ports {
		f, err := network.ParseForward(p)
		must(t, err)
		forwards = append(forwards, f)
	}
	a, err := n.Attach(t.Context(), compute.ID(id), s.file, forwards)
	must(t, err)
	return sandboxNet{s, a}
}

// bridgedAddr is a container's of another engine on this machine, at which port 80 answers.
const bridgedAddr = "192.0.2.10"

// bridged makes that container.
func bridged(t testing.TB) {
	t.Helper()
	s := newSpace(t)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "bridged"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(s.file.Fd())}
	must(t, netlink.LinkAdd(link))
	t.Cleanup(func() { _ = netlink.LinkDel(link) })
	set := func(name, addr string) {
		l, err := netlink.LinkByName(name)
		must(t, err)
		a, err := netlink.ParseAddr(addr)
		must(t, err)
		must(t, netlink.AddrAdd(l, a))
		must(t, netlink.LinkSetUp(l))
	}
	set("bridged", "192.0.2.1/24")
	must(t, os.WriteFile("/proc/sys/net/ipv4/conf/bridged/forwarding", []byte("1"), 0))
	s.in(func() {
		set("eth0", bridgedAddr+"/24")
		must(t, netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("192.0.2.1")}))
		serve(t, bridgedAddr+":80", "container")
	})
}

// translate leads a port to another address, as container engines and kube-proxy do for what is
// published: of addresses of a kind.
func translate(t testing.TB, port int, to string, kind int) {
	t.Helper()
	kinds := map[int]string{unix.RTN_LOCAL: "local", unix.RTN_UNICAST: "unicast"}
	name := fmt.Sprintf("engine-%d", port)
	rules := fmt.Sprintf("table ip %s { chain pre { type nat hook prerouting priority -100; fib daddr type %s meta "+
		"l4proto { tcp, udp } th dport %d dnat to %s; }; }",
		name, kinds[kind], port, to)
	if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("nft", "delete table ip "+name).Run() })
}
