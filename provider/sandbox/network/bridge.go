//go:build linux

package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

// bridgePrefix begins the names of all our bridges, of any installation, and of their tables. No
// link and no installation's table begins with it.
const bridgePrefix = "hsb-"

// Bridge is a bridge that another program, such as a container engine, makes for us. A table of its
// own limits its ports' connections as those of sandboxes.
type Bridge struct {
	Link        string       // its name, which BridgeName made
	Net         *os.File     // the network name space that it is in; nil: this one
	Nameservers []netip.Addr // reached at port 53, also on this machine
	Without     []string     // defences that are off: for tests alone
}

// BridgeName is the name of an installation's bridge for a policy.
func BridgeName(installation string, may egress.Policy) string {
	return bridgePrefix + hash("bridge", installation, may.String())[:11]
}

// Admit puts up the wall, whether or not the bridge exists yet. It may be called again. The error
// is ErrInvalid for a policy with names, ErrDenied if the caller may not.
func (b Bridge) Admit(may egress.Policy) error {
	if may.Named() {
		return namesRefused("network.Bridge")
	}
	if err := b.admit(may); err != nil {
		return opError("network.Bridge", "", err)
	}
	return nil
}

// admit leaves a table alone that has the current rules and the policy. Else it replaces the
// table in one transaction.
func (b Bridge) admit(may egress.Policy) error {
	var where []nftables.ConnOption
	if b.Net != nil {
		where = append(where, nftables.WithNetNSFd(int(b.Net.Fd())))
	}
	t, err := openTable(b.Link, b.Link+"\x00", where...)
	if err != nil {
		return err
	}
	defer t.close()
	p := &plan{servers: b.Nameservers, group: usersGroup, off: without(b.Without)}
	if _, err := t.conn.ListChain(t.t, p.mark()); err == nil {
		if _, err := t.conn.ListChain(t.t, policyName(may)); err == nil {
			return nil
		}
	}
	t.conn.AddTable(t.t)
	t.conn.DelTable(t.t)
	t.conn.AddTable(t.t)
	t.conn.AddChain(&nftables.Chain{Table: t.t, Name: p.mark()})
	if err := t.egress(p); err != nil {
		return err
	}
	if err := t.policy(p, may, true); err != nil {
		return err
	}
	t.bridge(may)
	return t.flush("make the table " + t.t.Name)
}

// bridge judges a new connection by its original address, before the engine's rules translate it,
// and by its final address, this machine's or another's.
func (t *table) bridge(may egress.Policy) {
	pre := *nftables.ChainPriorityMangle
	original := t.chain("original", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, pre)
	rules := *nftables.ChainPriorityFilter
	input := t.chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, rules)
	forward := t.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, rules)
	others := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(bridgePrefix)},
	}
	jump := func(chain string) []expr.Any {
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
	}
	forward(t.from(), others, jump(refuseChain)) // instances on one machine are no neighbours
	for _, rule := range []func(...[]expr.Any){original, input, forward} {
		rule(t.from(), established(), verdict(expr.VerdictAccept))
		rule(t.from(), protocol(unix.NFPROTO_IPV4), jump(policyName(may)))
		rule(t.from(), jump(refuseChain))
	}
}

// Apart isolates the bridge's ports from each other: their frames pass no rule of the table. The
// error is ErrNotFound where the bridge is not in this network.
func (b Bridge) Apart() error {
	if err := b.apart(); err != nil {
		return opError("network.Bridge", "", err)
	}
	return nil
}

// apart isolates each port of the bridge. A port that vanishes meanwhile is no error.
func (b Bridge) apart() error {
	s, err := b.dial()
	if err != nil {
		return err
	}
	defer s.close()
	bridge, ok, err := s.link(b.Link)
	if err == nil && !ok {
		err = &compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf("no bridge %s is there", b.Link)}
	}
	if err != nil {
		return err
	}
	links, err := s.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.master != bridge.index {
			continue
		}
		err := s.all("keep "+l.name+" from its neighbours", isolate(l.index))
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
	}
	return nil
}

// dial opens a netlink socket in the bridge's network name space. That may be hostler's own,
// though Net is set.
func (b Bridge) dial() (*socket, error) {
	if b.Net != nil {
		s, err := dialIn(b.Net)
		if !errors.Is(err, errOwn) {
			return s, err
		}
	}
	return dial(unix.NETLINK_ROUTE)
}

// isolate isolates a bridge's port from all other isolated ports.
func isolate(index int) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	m := nl.NewIfInfomsg(unix.AF_BRIDGE)
	m.Index = int32(index)
	r.AddData(m)
	port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	port.AddRtAttr(nl.IFLA_BRPORT_ISOLATED, []byte{1})
	r.AddData(port)
	return r
}
