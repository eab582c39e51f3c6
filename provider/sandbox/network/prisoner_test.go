//go:build linux

package network_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/hostler-project/hostler/compute"
)

// prisoner is a process in a sandbox, root of its own user and network name spaces. It does what it
// is told, a line each:
//
//	tcp4 ADDRESS     ask there, and print the answer
//	take ADDRESS     take an address, as its only one
//	up               undo whatever its side of the link was set to
func prisoner() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		var out string
		var err error
		switch verb {
		case "take":
			err = take(arg)
		case "up":
			for _, f := range []string{"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/eth0/rp_filter", "net/ipv6/conf/eth0/disable_ipv6"} {
				_ = os.WriteFile("/proc/sys/"+f, []byte("0"), 0)
			}
			for _, f := range []string{
				"net/ipv4/ip_forward", "net/ipv4/conf/eth0/route_localnet", "net/ipv4/conf/eth0/accept_local",
				"net/ipv4/conf/eth0/proxy_arp",
			} {
				_ = os.WriteFile("/proc/sys/"+f, []byte("1"), 0)
			}
		default:
			out, err = ask(verb, arg)
		}
		fmt.Printf("%s %v\n", strings.ReplaceAll(out, " ", "-"), err)
	}
}

func take(addr string) error {
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	old, err := netlink.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range old {
		gw := a.Peer.IP
		if err := netlink.AddrDel(l, &a); err != nil {
			return err
		}
		a, err := netlink.ParseAddr(addr + "/32")
		if err != nil {
			return err
		}
		a.Peer = &net.IPNet{IP: gw, Mask: net.CIDRMask(32, 32)}
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gw}); err != nil {
			return err
		}
	}
	return nil
}

// cell starts a prisoner. do gives it an order and returns what it printed.
func cell(t *testing.T) (ns *os.File, do func(order string) (answer, trouble string)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	// with the race detector it sleeps before it ends unless it is told not to
	cmd.Env = []string{"HOSTLER_NETWORK_TEST=inside", "GORACE=" + os.Getenv("GORACE")}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0x70000000, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0x70000000, Size: 65536}},
		Credential:  &syscall.Credential{}, Pdeathsig: syscall.SIGKILL,
	}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Skip("network: no user name spaces here: " + err.Error())
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	lines := bufio.NewReader(stdout)
	return ns, func(order string) (answer, trouble string) {
		_, err := io.WriteString(stdin, order+"\n")
		must(t, err)
		line, err := lines.ReadString('\n')
		must(t, err)
		answer, trouble, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		return answer, strings.TrimPrefix(trouble, "<nil>")
	}
}

// TestPrisoner: who is root of his own network cannot make more of it than he was given.
func TestPrisoner(t *testing.T) {
	world(t)
	serve(t, hostAddr+":7777", "host")
	for _, off := range []bool{false, true} {
		n := open(t, options(t))
		if off {
			n.Off("source", "metadata", "host")
			must(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("0"), 0))
		}
		ns, do := cell(t)
		a, err := n.Attach(t.Context(), compute.ID("cell"), ns, nil)
		must(t, err)
		if got, trouble := do("tcp4 " + worldAddr + ":80"); got != "world-"+hostAddr {
			t.Errorf(`got = %s trouble = %s; want got == "world-"+hostAddr`, got, trouble)
		}
		do("up")
		for _, addr := range []string{metadata + ":80", hostAddr + ":7777"} {
			if got, trouble := do("tcp4 " + addr); (got != "") != off {
				t.Errorf("off %v: %s: %s %s", off, addr, got, trouble)
			}
		}
		if _, trouble := do("take " + a.Addr.Next().String()); trouble != "" {
			t.Fatal(trouble)
		}
		if got, _ := do("udp4 " + worldAddr + ":80"); got != "" {
			t.Errorf("by another's address: %s", got)
		}
		if _, trouble := do("take " + a.Addr.String()); trouble != "" {
			t.Fatal(trouble)
		}
		if got, trouble := do("tcp4 " + worldAddr + ":80"); got == "" {
			t.Errorf("with its own address again: %s", trouble)
		}
		_, err = n.Sweep(t.Context(), nil)
		must(t, err)
	}
}
