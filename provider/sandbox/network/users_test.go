//go:build linux

package network_test

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// somebody starts a process of a user, here. do has it ask somewhere.
func somebody(t *testing.T, uid uint32) (do func(order string) string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"HOSTLER_NETWORK_TEST=inside"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	lines := bufio.NewReader(stdout)
	return func(order string) string {
		_, err := io.WriteString(stdin, order+"\n")
		must(t, err)
		line, err := lines.ReadString('\n')
		must(t, err)
		answer, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		return answer
	}
}

// TestUsers: what runs as a user of its own, as a virtual machine's qemu, reaches what its policy
// says; everybody else reaches all.
func TestUsers(t *testing.T) {
	world(t)
	bridged(t)
	must(t, os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0))
	t.Cleanup(func() { _ = exec.Command("nft", "delete table inet hs-users").Run() })
	serve(t, hostAddr+":7777", "host")
	serve(t, ":7779", "host")
	serve(t, "127.0.0.1:53", "names")
	six, err := net.Listen("tcp6", "[::1]:7780")
	must(t, err)
	defer six.Close()
	go func() {
		for c, err := six.Accept(); err == nil; c, err = six.Accept() {
			_, _ = io.WriteString(c, "six\n")
			c.Close()
		}
	}()
	rules := "table ip engine-own { chain out { type nat hook output priority -100; fib daddr type local th dport " +
		"7070 meta l4proto { tcp, udp } dnat to " + bridgedAddr + ":80; }; }"
	if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	defer func() { _ = exec.Command("nft", "delete table ip engine-own").Run() }()

	const first = 0x7ffd0000
	u := network.Users{First: first, Nameservers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	must(t, u.Admit(first+1, policy(t)))
	must(t, u.Admit(first+2, policy(t, "private", metadata)))
	must(t, u.Admit(first+3, policy(t, "none")))
	usual, inner, none, never, other := somebody(t, first+1), somebody(t, first+2), somebody(t, first+3), somebody(t, first+4), somebody(t, 12345)
	// usual, inner, none: whether they reach it. Who was never admitted is as usual, who is not of
	// the range reaches all.
	for _, c := range []struct {
		order string
		want  [3]bool
	}{
		{"tcp4 " + worldAddr + ":80", [3]bool{true, false, false}},
		{"udp4 " + worldAddr + ":80", [3]bool{true, false, false}},
		{"tcp4 " + privateAddr + ":80", [3]bool{false, true, false}},
		{"udp4 " + privateAddr + ":80", [3]bool{false, true, false}},
		{"tcp4 " + metadata + ":80", [3]bool{false, true, false}},
		{"udp4 " + metadata + ":80", [3]bool{false, true, false}},
		{"tcp4 " + hostAddr + ":7777", [3]bool{}},
		{"udp4 " + hostAddr + ":7777", [3]bool{}},
		{"tcp4 127.0.0.1:7779", [3]bool{}},
		{"udp4 127.0.0.1:7779", [3]bool{}},
		{"tcp4 127.8.8.8:7779", [3]bool{}},
		{"tcp4 0.0.0.0:7779", [3]bool{}},
		{"tcp4 " + hostAddr + ":7779", [3]bool{}},
		{"tcp4 " + hostAddr + ":7070", [3]bool{}},
		{"tcp4 127.0.0.1:53", [3]bool{true, true, false}},
		{"udp4 127.0.0.1:53", [3]bool{true, true, false}},
		{"tcp6 [::1]:7780", [3]bool{}},
	} {
		for i, do := range []func(string) string{usual, inner, none} {
			if got := do(c.order); (got != "") != c.want[i] {
				t.Errorf("%s by policy %d: %q", c.order, i, got)
			}
		}
		if got := never(c.order); (got != "") != c.want[0] {
			t.Errorf("%s by who was never admitted: %q", c.order, got)
		}
		if got := other(c.order); got == "" {
			t.Errorf("%s: not reached from outside of the wall: the test proves nothing", c.order)
		}
	}
	must(t, u.Admit(first+3, policy(t))) // another has the number now
	if got := none("tcp4 " + worldAddr + ":80"); got == "" {
		t.Error("the number's former policy is still there")
	}
	if err := u.Admit(first+5, policy(t, "good.example")); err == nil {
		t.Error("names are promised")
	}
}

// TestUsersKeepTheirPlaces has nobody reach more when the machine's name servers change, or when
// the table is made anew with other rules.
func TestUsersKeepTheirPlaces(t *testing.T) {
	world(t)
	t.Cleanup(func() { _ = exec.Command("nft", "delete table inet hs-users").Run() })
	serve(t, "127.0.0.1:53", "names")
	serve(t, "127.0.0.2:53", "names")
	const first = 0x7ffd0000
	u := network.Users{First: first, Nameservers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	must(t, u.Admit(first+1, policy(t, privateAddr)))
	must(t, u.Admit(first+2, policy(t)))
	narrow, usual := somebody(t, first+1), somebody(t, first+2)
	reaches := func(when string, who func(string) string, order string, want bool) {
		t.Helper()
		if got := who(order); (got != "") != want {
			t.Errorf(`%s: order = %s: got = %q; want (got != "") == want`, when, order, got)
		}
	}
	const world, private, old, fresh = "tcp4 " + worldAddr + ":80", "tcp4 " + privateAddr + ":80", "tcp4 127.0.0.1:53", "tcp4 127.0.0.2:53"
	reaches("at first", narrow, world, false)
	reaches("at first", narrow, private, true)
	reaches("at first", usual, fresh, false)

	u.Nameservers = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	must(t, u.Admit(first+3, policy(t)))
	for order, want := range map[string]bool{world: false, private: true, old: false, fresh: true} {
		reaches("with another name server", narrow, order, want)
	}
	reaches("with another name server", usual, world, true)
	reaches("with another name server", usual, fresh, true)

	u.Without = []string{"metadata"} // other rules
	must(t, u.Admit(first+3, policy(t)))
	reaches("with other rules", narrow, world, false)
	reaches("with other rules", narrow, private, false)
	reaches("with other rules", usual, world, true)
	must(t, u.Admit(first+1, policy(t, privateAddr)))
	reaches("admitted again", narrow, private, true)
}
