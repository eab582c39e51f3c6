//go:build linux

package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/egress"
)

// The chain that refuses, and the limit of its reports.
const (
	refuseChain = "refuse"
	toldEach    = 5  // a second
	toldAtOnce  = 20 // beyond that
)

// policyName is the name of the chain of a policy. The chain also depends on the table's plan, and
// is made anew with the table.
func policyName(e egress.Policy) string {
	sum := sha256.Sum256([]byte(e.String()))
	return "egress-" + hex.EncodeToString(sum[:8])
}

// places is the map of the sandboxes' addresses to the chains of their policies.
func (t *table) places() *nftables.Set {
	return &nftables.Set{ID: 4, Table: t.t, Name: "egress", IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeVerdict}
}

// privates is the set of ranges that are not of the internet.
func (t *table) privates() *nftables.Set {
	return &nftables.Set{ID: 5, Table: t.t, Name: "private", Interval: true, KeyType: nftables.TypeIPAddr}
}

// nameservers is the set of name servers that all policies but none may ask.
func (t *table) nameservers() *nftables.Set {
	return &nftables.Set{ID: 6, Table: t.t, Name: "nameservers", KeyType: nftables.TypeIPAddr}
}

// elements returns the plan's name servers as elements of their set.
func (p *plan) elements() (out []nftables.SetElement) {
	for _, s := range p.servers {
		if s.Is4() {
			out = append(out, nftables.SetElement{Key: s.AsSlice()})
		}
	}
	return out
}

// found is the set of addresses that the names of a policy's entry had lately.
func (t *table) found(policy string, entry int) *nftables.Set {
	return &nftables.Set{
		ID: uint32(10 + entry), Table: t.t,
		Name:    fmt.Sprintf("%s-%d", strings.Replace(policy, "egress", "names", 1), entry),
		KeyType: nftables.TypeIPAddr, HasTimeout: true, Size: 1 << 14,
	}
}

// egress makes the parts that all policies need: the map, the sets of private ranges and of name
// servers, and the refusing chain.
func (t *table) egress(p *plan) error {
	var ranges []nftables.SetElement
	all := slices.DeleteFunc(egress.Privates(), func(r netip.Prefix) bool { return !r.Addr().Is4() })
	for _, r := range all {
		ranges = append(
			ranges, nftables.SetElement{Key: r.Addr().AsSlice()},
			nftables.SetElement{Key: after(r).AsSlice(), IntervalEnd: true},
		)
	}
	err := errors.Join(t.conn.AddSet(t.places(), nil), t.conn.AddSet(t.privates(), ranges), t.conn.AddSet(t.nameservers(), p.elements()))
	if err != nil {
		return err
	}
	c := t.conn.AddChain(&nftables.Chain{Table: t.t, Name: refuseChain})
	t.conn.AddRule(&nftables.Rule{Table: t.t, Chain: c, Exprs: []expr.Any{
		&expr.Limit{Type: expr.LimitTypePkts, Rate: toldEach, Unit: expr.LimitTimeSecond, Burst: toldAtOnce},
		&expr.Log{ // each at once, while its sandbox is known
			Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD, Group: p.group,
			Snaplen: 128, QThreshold: 1,
		},
	}})
	t.conn.AddRule(&nftables.Rule{Table: t.t, Chain: c, Exprs: append([]expr.Any{&expr.Counter{}}, reject()...)})
	return nil
}

// after is the first address behind a range.
func after(r netip.Prefix) netip.Addr {
	b := r.Masked().Addr().As4()
	for i := range b {
		b[i] |= byte(0xff >> min(8, max(0, r.Bits()-8*i)))
	}
	return netip.AddrFrom4(b).Next()
}

// judge sends a sandbox's packets to the chain of its policy. Without a policy it reaches nothing.
func (t *table) judge(p *plan, rule func(...[]expr.Any)) {
	rule(t.from(), protocol(unix.NFPROTO_IPV4), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Lookup{SourceRegister: 1, DestRegister: 0, IsDestRegSet: true, SetName: t.places().Name, SetID: t.places().ID},
	})
	var others []expr.Any
	if p.off["ipv6"] {
		others = protocol(unix.NFPROTO_IPV4)
	}
	rule(t.from(), others, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: refuseChain}})
}

// policy makes the chain of a policy, unless it exists. anew: this transaction makes the table.
func (t *table) policy(p *plan, e egress.Policy, anew bool) error {
	name := policyName(e)
	if !anew {
		if _, err := t.conn.ListChain(t.t, name); err == nil {
			return nil
		}
	}
	c := t.conn.AddChain(&nftables.Chain{Table: t.t, Name: name})
	rule := func(parts ...[]expr.Any) {
		t.conn.AddRule(&nftables.Rule{Table: t.t, Chain: c, Exprs: slices.Concat(parts...)})
	}
	accept, refuse := verdict(expr.VerdictAccept), []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: refuseChain}}
	daddr := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
	switch {
	case e.Named():
		t.dns(rule, p.gateway, accept)
	case !e.None():
		for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			set := &expr.Lookup{SourceRegister: 1, SetName: t.nameservers().Name, SetID: t.nameservers().ID}
			rule(protocol(unix.NFPROTO_IPV4), []expr.Any{daddr, set}, transport(proto), port16(expr.CmpOpEq, 53), accept)
		}
	}
	if !p.off["host"] {
		rule(fib(&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}, unix.RTN_LOCAL), refuse)
	}
	rules := e.Rules()
	for _, r := range rules {
		if r.Above() && r.Net.Addr().Is4() {
			rule(to(r.Net, expr.CmpOpEq), ports(r), accept)
		}
	}
	if !p.off["metadata"] {
		for _, r := range egress.Never() {
			if r.Addr().Is4() {
				rule(to(r, expr.CmpOpEq), refuse)
			}
		}
	}
	for i, r := range rules {
		switch {
		case r.Net.IsValid() && r.Net.Addr().Is4():
			rule(to(r.Net, expr.CmpOpEq), ports(r), accept)
		case r.Name != "":
			set := t.found(name, i)
			if err := t.conn.AddSet(set, nil); err != nil {
				return err
			}
			rule(
				protocol(unix.NFPROTO_IPV4),
				[]expr.Any{daddr, &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID}}, ports(r), accept,
			)
		case r.Word != "":
			private := &expr.Lookup{
				SourceRegister: 1, SetName: t.privates().Name, SetID: t.privates().ID, Invert: r.Word == egress.Internet,
			}
			rule(protocol(unix.NFPROTO_IPV4), []expr.Any{daddr, private}, ports(r), accept)
		}
	}
	rule(refuse)
	return nil
}

// place puts an address into the map.
func (t *table) place(b sandboxNet) error {
	jump := &expr.Verdict{Kind: expr.VerdictJump, Chain: policyName(b.policy)}
	return t.conn.SetAddElements(t.places(), []nftables.SetElement{{Key: b.addr.AsSlice(), VerdictData: jump}})
}

// expel takes an address out of the map, if it is there.
func (t *table) expel(addr netip.Addr) error {
	if err := t.conn.SetDeleteElements(t.places(), []nftables.SetElement{{Key: addr.AsSlice()}}); err != nil {
		return err
	}
	if err := t.flush("forget " + addr.String()); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// leads lets the addresses of an entry's names be reached for a while.
func (t *table) leads(policy string, entries []int, addrs []netip.Addr, ttl time.Duration) error {
	for _, i := range entries {
		var elements []nftables.SetElement
		for _, a := range addrs {
			elements = append(elements, nftables.SetElement{Key: a.AsSlice(), Timeout: ttl})
		}
		set := t.found(policy, i) // an existing element keeps its time unless it is made anew
		if err := errors.Join(
			t.conn.SetAddElements(set, elements), t.conn.SetDeleteElements(set, elements),
			t.conn.SetAddElements(set, elements),
		); err != nil {
			return err
		}
	}
	return t.flush("let what a name leads to be reached")
}

// dns matches port 53 of an address.
func (t *table) dns(rule func(...[]expr.Any), server netip.Addr, then []expr.Any) {
	if !server.Is4() {
		return
	}
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		rule(to(netip.PrefixFrom(server, 32), expr.CmpOpEq), transport(proto), port16(expr.CmpOpEq, 53), then)
	}
}

// ports matches the ports of an entry, of TCP, UDP, SCTP and other protocols with ports at that
// place. Later fragments have none, and are put together before.
func ports(r egress.Rule) []expr.Any {
	if r.First == 0 {
		return nil
	}
	protocols := &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}
	tcpOrUDP := []expr.Any{ // 6 and 17 alone: all numbers from 6 to 17 but those between
		protocols, &expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
	}
	for other := byte(unix.IPPROTO_TCP + 1); other < unix.IPPROTO_UDP; other++ {
		tcpOrUDP = append(tcpOrUDP, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{other}})
	}
	return slices.Concat(tcpOrUDP, port16(expr.CmpOpGte, r.First), port16(expr.CmpOpLte, r.Last))
}

func transport(proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
}

func port16(op expr.CmpOp, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: op, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}
