//go:build linux

package network

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

// usersTable is the machine's table for processes that run as users of their own and connect by
// themselves, as qemu does for its guest. It has no installation, as such users have none; with a
// name like those of installations' tables it would count as one.
const usersTable = "hs-users"

// usersGroup is the group of the kernel's reports of these users' refusals. Only an administrator
// listens to it.
const usersGroup = 999

// Users is a range of user ids whose processes are walled in: their connections are judged as those
// of sandboxes. Other users are never touched.
type Users struct {
	First       uint32       // the first of 65,536; a multiple of that
	Nameservers []netip.Addr // reached at port 53, also on this machine
	Without     []string     // defences that are off: for tests alone
}

// Admit puts one of the users under a policy, and puts up the wall for all if need be. Callers take
// turns by a lock of their own. The error is ErrInvalid for a policy with names, ErrDenied if the
// caller may not.
func (u Users) Admit(uid uint32, may egress.Policy) error {
	if may.Named() {
		return namesRefused("network.Admit")
	}
	if err := u.admit(uid, may); err != nil {
		return opError("network.Admit", "", err)
	}
	return nil
}

// namesRefused refuses names: only a sandbox has them looked up by us.
func namesRefused(op string) error {
	return &compute.Error{Op: op, Kind: compute.ErrInvalid,
		Err: errors.New("egress: names are for sandboxes"), Hint: "give addresses or ranges"}
}

// admit removes the policy of an earlier user with this uid, and sets the new one. The empty
// policy needs no entry, as it is the table's default.
func (u Users) admit(uid uint32, may egress.Policy) error {
	t, err := openTable(usersTable, "")
	if err != nil {
		return err
	}
	defer t.close()
	p := &plan{servers: u.Nameservers, flows: u.First, group: usersGroup, off: without(u.Without)}
	if _, err := t.conn.ListChain(t.t, p.usersMark()); err != nil {
		err = t.users(p, u.First)
		if err != nil {
			return err
		}
	} else if err := t.ask(p); err != nil {
		return err
	}
	key := binaryutil.NativeEndian.PutUint32(uid)
	// the user that had the number before
	if err := t.conn.SetDeleteElements(t.places(), []nftables.SetElement{{Key: key}}); err != nil {
		return err
	}
	if err := t.flush("forget a user"); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if may.String() == (egress.Policy{}).String() {
		return nil
	}
	if err := t.policy(p, may, false); err != nil {
		return err
	}
	jump := &expr.Verdict{Kind: expr.VerdictJump, Chain: policyName(may)}
	if err := t.conn.SetAddElements(t.places(), []nftables.SetElement{{Key: key, VerdictData: jump}}); err != nil {
		return err
	}
	return t.flush("say where a user may go")
}

// usersMark is the mark of the table of users. It leaves the name servers out: those can change
// while the table stands, and its users keep their places.
func (p *plan) usersMark() string {
	without := *p
	without.servers = nil
	return without.mark()
}

// ask puts the current name servers into the table.
func (t *table) ask(p *plan) error {
	set, want := t.nameservers(), p.elements()
	have, err := t.conn.GetSetElements(set)
	if err != nil {
		return err
	}
	has := func(all []nftables.SetElement, e nftables.SetElement) bool {
		return slices.ContainsFunc(all, func(o nftables.SetElement) bool { return slices.Equal(o.Key, e.Key) })
	}
	gone := slices.DeleteFunc(slices.Clone(have), func(e nftables.SetElement) bool { return has(want, e) })
	fresh := slices.DeleteFunc(want, func(e nftables.SetElement) bool { return has(have, e) })
	if len(gone) == 0 && len(fresh) == 0 {
		return nil
	}
	if len(gone) > 0 {
		err = t.conn.SetDeleteElements(set, gone)
	}
	if len(fresh) > 0 {
		err = errors.Join(err, t.conn.SetAddElements(set, fresh))
	}
	if err != nil {
		return err
	}
	return t.flush("say which name servers there are")
}

// users makes the table. If the old one had other rules its policies are not known any more: a user
// with a policy of its own reaches nothing until it is admitted again.
func (t *table) users(p *plan, first uint32) error {
	var before []nftables.SetElement
	if _, err := t.conn.ListTableOfFamily(t.t.Name, t.t.Family); err == nil {
		if before, err = t.conn.GetSetElements(t.places()); err != nil {
			return err
		}
	}
	t.conn.AddTable(t.t)
	t.conn.DelTable(t.t)
	t.conn.AddTable(t.t)
	t.conn.AddChain(&nftables.Chain{Table: t.t, Name: p.usersMark()})
	if err := t.egress(p); err != nil {
		return err
	}
	var usual egress.Policy
	if err := t.policy(p, usual, true); err != nil {
		return err
	}
	for i := range before {
		before[i] = nftables.SetElement{Key: before[i].Key, VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: refuseChain}}
	}
	if len(before) > 0 {
		if err := t.conn.SetAddElements(t.places(), before); err != nil {
			return err
		}
	}
	mask := binaryutil.NativeEndian.PutUint32(0xffff0000)
	of := []expr.Any{ // packets that no process sends have no user, and skip all this
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(first)},
	}
	for name, priority := range map[string]*nftables.ChainPriority{
		"original": nftables.ChainPriorityMangle, "output": nftables.ChainPriorityFilter,
	} {
		rule := t.chain(name, nftables.ChainTypeFilter, nftables.ChainHookOutput, *priority)
		rule(of, established(), verdict(expr.VerdictAccept))
		rule(of, protocol(unix.NFPROTO_IPV4), []expr.Any{
			&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
			&expr.Lookup{SourceRegister: 1, DestRegister: 0, IsDestRegSet: true, SetName: t.places().Name, SetID: t.places().ID},
		})
		rule(of, protocol(unix.NFPROTO_IPV4), []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: policyName(usual)}})
		rule(of, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: refuseChain}})
	}
	return t.flush("make the table " + t.t.Name)
}

// OwnNameservers returns the IPv4 name servers of this machine, with those on itself, for processes
// in its own network.
func OwnNameservers() (out []netip.Addr, err error) {
	text, err := os.ReadFile("/etc/resolv.conf")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil && a.Is4() && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out, err
}
