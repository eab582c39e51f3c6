//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// what begins the findings' names.
const what = "sandbox: network"

// Probe makes a pair of links, addresses, routes and our rules in two new network name spaces,
// which end with it, and returns what fails. It touches nothing else.
func Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	got := make(chan error, 1)
	go elsewhere(func() { got <- probe() })
	return <-got
}

// elsewhere runs f on a thread that ends with it, in the name spaces that f makes. It never uses
// the process's first thread, which cannot end and which /proc/self shows.
func elsewhere(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
	runtime.UnlockOSThread()
}

// probe makes a trial network in two new name spaces. Its thread must end after it, as it cannot
// return to the old one.
func probe() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network name spaces: %w", err)
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network name spaces: %w", err)
	}
	s, err := dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer s.close()
	in, err := dialIn(ns)
	if err != nil {
		return err
	}
	defer in.close()
	n := &Network{o: Options{Installation: "probe"}, rng: candidates()[0]}
	name := linkPrefix + "prob-12345678"
	if _, err := n.pair(s, in, name, ns, true); err != nil {
		return err
	}
	t, err := openTable(tablePrefix+"probe", linkPrefix+"prob-")
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.ensure(&plan{
		flows: maxFlows, gateway: n.gateway(), answers: n.answers(), boxes: func() ([]sandboxNet, error) { return nil, nil },
	}); err != nil {
		return err
	}
	return setForwarding(name, "1")
}

// Examine reports what works on this machine: it tries it apart (Probe), and looks for obstacles
// here.
func Examine(ctx context.Context) []compute.Finding {
	if os.Geteuid() != 0 {
		return []compute.Finding{{
			Result: "skip", What: what, Detail: "networks of their own with NAT are made by root; an ordinary user's sandboxes have none",
			Hint: "run hostler as root, or its controller as a service, where sandboxes need a network",
		}}
	}
	if err := Probe(ctx); err != nil {
		f := compute.Finding{Result: "fail", What: what, Detail: err.Error(), Hint: "use network = none"}
		if errors.Is(err, unix.EPERM) {
			f.Hint = "root may not do this here, perhaps inside of a container; use network = none"
		} else if missing := strings.Contains(err.Error(), "nftables"); missing || errors.Is(err, unix.EOPNOTSUPP) {
			f.Hint = "the kernel needs veth and nftables with nat, masquerade, fib, connlimit and reject; use network = none"
		}
		return []compute.Finding{f}
	}
	out := []compute.Finding{{Result: "ok", What: what, Detail: "links, NAT and forwarded ports can be made"}}
	if s, err := dial(unix.NETLINK_ROUTE); err == nil {
		defer s.close()
		oif, err := s.out()
		switch {
		case err != nil:
		case oif == 0:
			out = append(out, compute.Finding{
				Result: "warn", What: what + ": the way out",
				Detail: "this machine has no IPv4 route into the world, so sandboxes have none either",
				Hint:   "give the machine a default route, or use network = none",
			})
		case !forwards(""):
			if l, ok, err := s.linkAt(oif); err == nil && ok {
				out = append(out, compute.Finding{
					Result: "ok", What: what + ": forwarding",
					Detail: fmt.Sprintf("net.ipv4.ip_forward is 0; %s forwards while there are sandboxes with NAT", l.name),
				})
			}
		}
	}
	out = append(out, firewalls()...)
	if _, servers, err := Resolver(""); err != nil {
		out = append(out, compute.Finding{Result: "warn", What: what + ": names", Detail: err.Error(), Hint: compute.Hint(err)})
	} else {
		out = append(out, compute.Finding{Result: "ok", What: what + ": names", Detail: fmt.Sprintf("sandboxes ask %s", servers[0])})
	}
	return out
}

// firewalls looks for others' rules that drop forwarded packets: our accept does not overrule them.
func firewalls() (out []compute.Finding) {
	hint := "let links named " + linkPrefix + "* pass there, in both directions; with Docker: iptables -I DOCKER-USER -i " + linkPrefix +
		"+ -j ACCEPT and iptables -I DOCKER-USER -o " + linkPrefix + "+ -j ACCEPT; with ufw: ufw default allow routed"
	conn, err := nftables.New()
	if err != nil {
		return nil
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil
	}
	for _, c := range chains {
		if c.Policy == nil || *c.Policy != nftables.ChainPolicyDrop || c.Hooknum == nil ||
			*c.Hooknum != *nftables.ChainHookForward || c.Table.Family == nftables.TableFamilyIPv6 {
			continue
		}
		out = append(out, compute.Finding{
			Result: "warn", What: what + ": other firewalls", Hint: hint,
			Detail: fmt.Sprintf(
				"chain %s of table %s drops what is forwarded unless one of its rules lets it pass; sandboxes may reach nothing",
				c.Name, c.Table.Name,
			),
		})
	}
	if names, err := os.ReadFile("/proc/net/ip_tables_names"); err == nil && strings.Contains(string(names), "filter") {
		out = append(out, compute.Finding{
			Result: "warn", What: what + ": other firewalls", Hint: hint,
			Detail: "there are rules of the old iptables, which cannot be seen here; if their FORWARD chain drops, sandboxes reach nothing",
		})
	}
	return out
}
