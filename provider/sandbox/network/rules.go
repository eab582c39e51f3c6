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
	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// rulesFormat is a part of the name of the chain that tells whether a table has this program's
// rules. Raise it with every change below.
const rulesFormat = "8\n"

// table changes our nftables table. One goroutine uses it and closes it.
type table struct {
	conn *nftables.Conn
	t    *nftables.Table
	own  string // the beginning of our links' names
}

func openTable(name, own string, where ...nftables.ConnOption) (*table, error) {
	deadline := nftables.WithSockOptions(func(c *mdnetlink.Conn) error { return c.SetDeadline(time.Now().Add(patience)) })
	conn, err := nftables.New(append(where, nftables.AsLasting(), deadline)...)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return &table{conn, &nftables.Table{Name: name, Family: nftables.TableFamilyINet}, own}, nil
}

func (t *table) close() { _ = t.conn.CloseLasting() }

// flush sends the collected changes as one transaction.
func (t *table) flush(what string) error {
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %s: %w", what, err)
	}
	return nil
}

// plan is all that the rules depend on.
type plan struct {
	servers []netip.Addr
	gateway netip.Addr
	// the port that answers sandboxes' questions for names, for policies of names
	answers uint16
	group   uint16          // of the netlink log that refusals are sent to
	flows   uint32          // how many connections a sandbox may have at once
	off     map[string]bool // defences that a test has switched off
	boxes   func() ([]sandboxNet, error)
}

// mark returns the name of an empty chain that stands for the plan.
func (p *plan) mark() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%v\n%v\n%v\n%v", rulesFormat, p.servers, p.gateway, p.flows, p.off))
	return "rules-" + hex.EncodeToString(sum[:8])
}

// ensure makes the table if it is missing or differs from the plan. Its forwarded ports stay.
func (t *table) ensure(p *plan) error {
	if _, err := t.conn.ListChain(t.t, p.mark()); err == nil {
		return nil
	}
	ports, err := t.ports()
	if err != nil {
		return err
	}
	// of other rules; to replace it takes ten times as long as to make it
	if _, err := t.conn.ListTableOfFamily(t.t.Name, t.t.Family); err == nil {
		t.conn.DelTable(t.t)
	}
	t.conn.AddTable(t.t)
	t.conn.AddChain(&nftables.Chain{Table: t.t, Name: p.mark()})
	any, at := t.maps()
	flows := &nftables.Set{ID: 3, Table: t.t, Name: "flows", KeyType: nftables.TypeIPAddr, Dynamic: true, Size: 1 << 16}
	if err := errors.Join(t.conn.AddSet(any, nil), t.conn.AddSet(at, nil), t.conn.AddSet(flows, nil)); err != nil {
		return err
	}
	if err := t.egress(p); err != nil {
		return err
	}
	t.guard(p)
	t.original(p)
	t.input(p)
	t.forward(p, flows)
	t.nat(p, any, at)
	if err := t.settle(p); err != nil {
		return err
	}
	if err := t.addPorts(ports); err != nil {
		return err
	}
	return t.flush("make the table " + t.t.Name)
}

// settle puts the existing sandboxes into a new table, with their policies.
func (t *table) settle(p *plan) error {
	boxes, err := p.boxes()
	if err != nil {
		return err
	}
	made := map[string]bool{}
	for _, b := range boxes {
		if name := policyName(b.policy); !made[name] {
			made[name] = true
			if err := t.policy(p, b.policy, true); err != nil {
				return err
			}
		}
		if err := t.place(b); err != nil {
			return err
		}
	}
	return nil
}

// remove takes the table away, if it is there.
func (t *table) remove() error {
	t.conn.AddTable(t.t)
	t.conn.DelTable(t.t)
	return t.flush("remove the table " + t.t.Name)
}

// others returns the tables of other installations.
func (t *table) others() ([]*nftables.Table, error) {
	all, err := t.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("nftables: list tables: %w", numbered(err))
	}
	return slices.DeleteFunc(
		all, func(o *nftables.Table) bool { return o.Name == t.t.Name || !strings.HasPrefix(o.Name, tablePrefix) },
	), nil
}

// chain makes a chain that packets come through.
func (t *table) chain(
	name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority,
) func(parts ...[]expr.Any) {
	accept := nftables.ChainPolicyAccept
	c := t.conn.AddChain(&nftables.Chain{Table: t.t, Name: name, Type: kind, Hooknum: hook, Priority: &priority, Policy: &accept})
	return func(parts ...[]expr.Any) {
		t.conn.AddRule(&nftables.Rule{Table: t.t, Chain: c, Exprs: slices.Concat(parts...)})
	}
}

// guard drops packets that a sandbox should not even be able to send.
func (t *table) guard(p *plan) {
	rule := t.chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	if !p.off["ipv6"] {
		rule(t.from(), protocol(unix.NFPROTO_IPV6), verdict(expr.VerdictDrop))
	}
	// the way back must be the same link: no sandbox may use another's address, or this machine's
	if !p.off["source"] {
		rule(
			t.from(), protocol(unix.NFPROTO_IPV4),
			fib(&expr.Fib{Register: 1, FlagSADDR: true, FlagIIF: true, ResultOIF: true}, 0), verdict(expr.VerdictDrop),
		)
	}
	// 127.0.0.1 may be routed on links with a forwarded port, but only outwards
	if !p.off["loopback"] {
		rule(t.from(), to(netip.MustParsePrefix("127.0.0.0/8"), expr.CmpOpEq), verdict(expr.VerdictDrop))
	}
}

// original judges a new connection by the address that the sandbox sent to. Later, rules of others
// (a container engine's published ports, kube-proxy) redirect this machine's own ports, and input
// and forward see only the result.
func (t *table) original(p *plan) {
	rule := t.chain("original", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityMangle)
	rule(t.from(), established(), verdict(expr.VerdictAccept))
	t.judge(p, rule)
}

// input keeps sandboxes from this machine.
func (t *table) input(p *plan) {
	rule := t.chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, *nftables.ChainPriorityFilter)
	rule(t.from(), established(), verdict(expr.VerdictAccept))
	for _, s := range p.servers {
		t.dns(func(parts ...[]expr.Any) { rule(append([][]expr.Any{t.from()}, parts...)...) }, s, verdict(expr.VerdictAccept))
	}
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		rule(
			t.from(), to(netip.PrefixFrom(p.gateway, 32), expr.CmpOpEq), transport(proto),
			port16(expr.CmpOpEq, p.answers), verdict(expr.VerdictAccept),
		)
	}
	if !p.off["host"] {
		rule(t.from(), reject())
	}
}

// forward limits the packets between sandboxes and others.
func (t *table) forward(p *plan, flows *nftables.Set) {
	rule := t.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	if !p.off["neighbours"] {
		rule(t.from(), t.toward(), reject())
	}
	rule(t.from(), established(), verdict(expr.VerdictAccept))
	if !p.off["flows"] { // the kernel's table of connections is the whole machine's
		rule(t.from(), protocol(unix.NFPROTO_IPV4), []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
			&expr.Dynset{
				SrcRegKey: 1, SetName: flows.Name, SetID: flows.ID, Operation: unix.NFT_DYNSET_OP_ADD,
				Exprs: []expr.Any{&expr.Connlimit{Count: p.flows, Flags: expr.NFT_CONNLIMIT_F_INV}},
			},
		}, reject())
	}
	t.judge(p, rule)
	rule(t.toward(), established(), verdict(expr.VerdictAccept))
	rule(t.toward(), translated(), verdict(expr.VerdictAccept))
	if !p.off["inbound"] {
		rule(t.toward(), verdict(expr.VerdictDrop))
	}
}

// nat translates addresses: of outgoing connections, to this machine's; of those to a forwarded
// port, to the sandbox's.
func (t *table) nat(p *plan, any, at *nftables.Set) {
	in := t.chain("ports", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest)
	t.dns(func(parts ...[]expr.Any) { in(append([][]expr.Any{t.from()}, parts...)...) }, p.gateway, []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(p.answers)}, &expr.Redir{RegisterProtoMin: 1},
	})
	in(t.from(), verdict(expr.VerdictReturn))
	out := t.chain("own-ports", nftables.ChainTypeNAT, nftables.ChainHookOutput, *nftables.ChainPriorityNATDest)
	const first, second, third = 8, 9, 10 // NFT_REG32_00 and so on: register 1 in pieces of 4 bytes
	for _, rule := range []func(...[]expr.Any){in, out} {
		here := fib(&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}, unix.RTN_LOCAL)
		dnat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: second, Specified: true}
		port := &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
		port2, port3 := *port, *port
		port2.DestRegister, port3.DestRegister = second, third
		rule(protocol(unix.NFPROTO_IPV4), here, []expr.Any{
			&expr.Payload{DestRegister: first, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: second}, &port3,
			&expr.Lookup{SourceRegister: first, DestRegister: 1, IsDestRegSet: true, SetName: at.Name, SetID: at.ID}, dnat,
		})
		rule(protocol(unix.NFPROTO_IPV4), here, []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: first}, &port2,
			&expr.Lookup{SourceRegister: first, DestRegister: 1, IsDestRegSet: true, SetName: any.Name, SetID: any.ID}, dnat,
		})
	}
	post := t.chain("outgoing", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource)
	post(t.from(), not(t.toward()), []expr.Any{&expr.Masq{}})
	post(t.toward(), source(netip.MustParsePrefix("127.0.0.0/8")), []expr.Any{&expr.Masq{}})
}

// from matches packets that come from a sandbox, and toward those that go to one, by the prefix of
// their links' names.
func (t *table) from() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(t.own)}}
}

func (t *table) toward() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(t.own)}}
}

// not negates the last comparison.
func not(e []expr.Any) []expr.Any {
	e[len(e)-1].(*expr.Cmp).Op = expr.CmpOpNeq
	return e
}

func protocol(family byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}}}
}

func to(p netip.Prefix, op expr.CmpOp) []expr.Any { return address(p, 16, op) }

func source(p netip.Prefix) []expr.Any { return address(p, 12, expr.CmpOpEq) }

// address compares the IPv4 address at an offset of the IP header with a network. The source is
// at 12, the destination at 16.
func address(p netip.Prefix, offset uint32, op expr.CmpOp) []expr.Any {
	mask := make([]byte, 4)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append(protocol(unix.NFPROTO_IPV4),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()})
}

func fib(f *expr.Fib, want uint32) []expr.Any {
	return []expr.Any{f, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(want)}}
}

func established() []expr.Any {
	return conntrack(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// translated matches connections to a forwarded port.
func translated() []expr.Any { return conntrack(expr.CtKeySTATUS, 1<<5) } // IPS_DST_NAT

func conntrack(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// reject answers that the packet is prohibited.
func reject() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}
