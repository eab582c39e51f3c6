//go:build linux

package network

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

const (
	tablePrefix = "hostler-"
	linkPrefix  = "hs"
	inside      = "eth0" // the sandbox's end of the pair
	aliasWord   = "hostler"
)

// maxFlows is how many open connections to the outside a sandbox may have at once. The kernel's
// table has 262,144 for the whole machine, given enough memory, and when it is full, nobody gets a
// new one.
const maxFlows = 8192

// Network makes and removes the networks of one installation's sandboxes. Many goroutines, and many
// processes with the same Dir, may call its methods; they take turns. It keeps nothing open between
// calls.
type Network struct {
	o       Options
	rng     netip.Prefix
	mtu     int // of the way out
	table   string
	links   string // the prefix of the names of all our links
	group   uint32 // of links to be removed
	flows   uint32 // how many connections a sandbox may have at once
	turn    chan struct{}
	uplinks []int                   // interfaces that lead to gateways
	off     map[string]bool         // defences that a test has switched off
	step    func(name string) error // a test's crash
	kept    sandboxStore            // the records of the sandboxes
}

// Address is a sandbox's place in the network.
type Address struct {
	Addr    netip.Addr // its own, a /32
	Gateway netip.Addr // this machine's side
	Link    string     // the link on this machine's side
}

// Open chooses the range and looks at the host's routes. It changes nothing. The error is
// ErrInvalid for wrong options, ErrConflict if the range overlaps a route of the host.
func Open(ctx context.Context, o Options) (*Network, error) {
	if err := o.check(); err != nil {
		return nil, &compute.Error{Op: "network.Open", Kind: compute.ErrInvalid, Err: err}
	}
	if err := os.Mkdir(o.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, &compute.Error{Op: "network.Open", Kind: compute.ErrFailed, Err: err}
	}
	n := named(o)
	unlock, err := n.lock(ctx)
	if err != nil {
		return nil, &compute.Error{Op: "network.Open", Kind: compute.ErrUnavailable, Err: err}
	}
	defer unlock()
	s, err := dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, &compute.Error{Op: "network.Open", Kind: compute.ErrFailed, Err: err}
	}
	defer s.close()
	if err := n.findRange(s); err != nil {
		return nil, err
	}
	return n, nil
}

// named returns the network of an installation, without a look at this machine.
func named(o Options) *Network {
	tag := hash(o.Installation)
	n := &Network{
		o: o, kept: sandboxStore{o.Dir}, table: tablePrefix + tag[:8], links: linkPrefix + tag[:4] + "-", turn: make(chan struct{}, 1),
		flows: maxFlows, off: without(o.Without),
	}
	// a group of links, with a number that no other program is likely to use
	n.group = binary.BigEndian.Uint32([]byte(tag[8:]))
	return n
}

// without is the set of defences that a test has switched off.
func without(defences []string) map[string]bool {
	var off map[string]bool
	for _, defence := range defences {
		if off == nil {
			off = map[string]bool{}
		}
		off[defence] = true
	}
	return off
}

// hash returns 16 letters and digits of a link's alphabet.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

func (n *Network) link(id compute.ID) string { return n.links + hash(n.o.Installation, string(id))[:8] }

func (n *Network) alias(id compute.ID, addr netip.Addr) string {
	return strings.Join([]string{aliasWord, n.o.Installation, string(id), addr.String()}, " ")
}

// owned parses an alias. ours is false for another installation's, and for anything else.
func (n *Network) owned(alias string) (id compute.ID, addr netip.Addr, ours bool) {
	f := strings.Split(alias, " ")
	if len(f) != 4 || f[0] != aliasWord || f[1] != n.o.Installation {
		return "", addr, false
	}
	addr, err := netip.ParseAddr(f[3])
	return compute.ID(f[2]), addr, err == nil
}

func (n *Network) gateway() netip.Addr { return n.rng.Masked().Addr().Next() }

func (n *Network) at(step string) error {
	if n.step == nil {
		return nil
	}
	return n.step(step)
}

func (n *Network) plan() *plan {
	return &plan{n.o.Nameservers, n.gateway(), n.answers(), n.hears(), n.flows, n.off, n.kept.boxes}
}

// answers is the port at which Answer answers, and hears the group of the kernel's reports that it
// listens to. Both are of this installation alone.
func (n *Network) answers() uint16 { return 20000 + uint16(n.group%10000) }

func (n *Network) hears() uint16 { return 1000 + uint16(n.group%60000) }

// Gateway is this machine's side of each sandbox's link.
func (n *Network) Gateway() netip.Addr { return n.gateway() }

// Attach gives the network name space ns an address, a default route and the forwarded ports, and
// brings its lo up. A repeated call for the same sandbox, name space and ports returns the same
// address. Another name space or other ports, or a dead process's unfinished work, make it begin
// anew. The error is ErrConflict if a port is in use, ErrNoCapacity if the range is full, ErrDenied
// if the caller may not.
func (n *Network) Attach(ctx context.Context, id compute.ID, ns *os.File, ports []Forward) (Address, error) {
	if s := string(id); s == "" || len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 127 }) {
		return Address{}, &compute.Error{Op: "network.Attach", ID: id, Kind: compute.ErrInvalid, Err: errors.New("not a name")}
	}
	unlock, err := n.lock(ctx)
	if err != nil {
		return Address{}, &compute.Error{Op: "network.Attach", ID: id, Kind: compute.ErrUnavailable, Err: err}
	}
	defer unlock()
	a, err := n.attach(id, ns, ports)
	if err != nil {
		return Address{}, opError("network.Attach", id, err)
	}
	return a, nil
}

// opError adds a kind to an error.
func opError(op string, id compute.ID, err error) error {
	e := &compute.Error{Op: op, ID: id, Kind: compute.ErrFailed, Err: err}
	var taken errTaken
	var inner *compute.Error
	switch {
	case errors.As(err, &inner):
		e.Kind, e.Hint = inner.Kind, inner.Hint
	case errors.Is(err, unix.EADDRNOTAVAIL):
		e.Kind, e.Hint = compute.ErrInvalid, "a port is forwarded from an address that this machine has"
	case errors.Is(err, errOwn):
		e.Kind = compute.ErrInvalid
	case errors.As(err, &taken):
		e.Kind, e.Hint = compute.ErrConflict, "choose another port, or end what uses it"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Kind, e.Hint = compute.ErrDenied, "networks of their own are made by root; use network = none"
	}
	return e
}

// attach is Attach, with the lock held.
func (n *Network) attach(id compute.ID, ns *os.File, ports []Forward) (Address, error) {
	s, err := dial(unix.NETLINK_ROUTE)
	if err != nil {
		return Address{}, err
	}
	defer s.close()
	in, err := dialIn(ns)
	if err != nil {
		return Address{}, fmt.Errorf("enter the sandbox's network: %w", err)
	}
	defer in.close()
	t, err := openTable(n.table, n.links)
	if err != nil {
		return Address{}, err
	}
	defer t.close()

	name := n.link(id)
	have, err := t.ports()
	if err != nil {
		return Address{}, err
	}
	mine := ownedBy(have, name)
	l, ok, err := s.link(name)
	if err != nil {
		return Address{}, err
	}
	if ok {
		owner, addr, ours := n.owned(l.alias)
		switch {
		case l.alias == "": // half-made
		case !ours || owner != id:
			return Address{}, &compute.Error{Kind: compute.ErrConflict, Err: fmt.Errorf("link %s is not ours: %q", name, l.alias)}
		default:
			other, ok, err := in.link(inside)
			if err == nil && ok && other.index == l.peer && other.peer == l.index && same(mine, ports) {
				err := t.ensure(n.plan())
				if err == nil {
					err = n.admit(t, id, addr)
				}
				if err == nil {
					err = t.flush("say where a sandbox may go")
				}
				return Address{addr, n.gateway(), name}, err
			}
		}
		if err := n.unmake(s, t, l, mine); err != nil {
			return Address{}, err
		}
		have = slices.DeleteFunc(have, func(p port) bool { return p.owner == name })
	}
	if err := t.vacant(ports, have, name); err != nil {
		return Address{}, err
	}
	if err := n.at("table"); err != nil {
		return Address{}, err
	}
	if err := t.ensure(n.plan()); err != nil {
		return Address{}, err
	}
	if err := n.at("forwarding"); err != nil {
		return Address{}, err
	}
	if err := n.forwarding(s); err != nil {
		return Address{}, err
	}
	addr, err := n.pair(s, in, name, ns, slices.ContainsFunc(ports, Forward.local))
	if err == nil {
		err = n.admit(t, id, addr)
	}
	if err == nil {
		err = n.lead(t, have, ports, addr, name)
	}
	if err == nil {
		err = n.finish(s, name, n.alias(id, addr))
	}
	if err != nil && !crashed(err) {
		if l, ok, lerr := s.link(name); lerr == nil && ok {
			_ = n.unmake(s, t, l, nil)
		}
	}
	return Address{addr, n.gateway(), name}, err
}

// errCrash ends a call as the death of the process would, for tests: nothing is cleaned up.
var errCrash = errors.New("crashed")

func crashed(err error) bool { return errors.Is(err, errCrash) }

// same reports whether exactly the wanted ports are forwarded.
func same(have []port, want []Forward) bool {
	if len(have) != len(want) {
		return false
	}
	for _, p := range have {
		if !slices.Contains(want, p.Forward) {
			return false
		}
	}
	return true
}

// pair makes the links and everything on them.
func (n *Network) pair(s, in *socket, name string, ns *os.File, local bool) (addr netip.Addr, err error) {
	if err := n.at("veth"); err != nil {
		return addr, err
	}
	if err := s.all("make links", newVeth(name, ns, n.mtu)); err != nil {
		return addr, err
	}
	l, ok, err := s.link(name)
	if err != nil || !ok {
		return addr, fmt.Errorf("the link %s is gone again: %w", name, errors.Join(err))
	}
	if err := n.at("address"); err != nil {
		return addr, err
	}
	conf := map[int]uint32{confForwarding: 1, confRPFilter: 1, confAcceptRedirects: 0, confSendRedirects: 0}
	if n.off["source"] {
		conf[confRPFilter] = 0
	}
	if local {
		conf[confRouteLocalnet] = 1
	}
	replies, err := s.do(
		setLink(l.index, false, noIPv6()), setLink(l.index, false, conf4(conf)), setLink(l.index, true),
		newAddr(l.index, n.gateway(), netip.Addr{}),
	)
	// without IPv6 in the kernel the first is refused
	for i := 1; err == nil && i < len(replies); i++ {
		err = replies[i].err
	}
	if err != nil {
		return addr, fmt.Errorf("set up link %s: %w", name, err)
	}
	if err := n.at("route"); err != nil {
		return addr, err
	}
	if addr, err = n.route(s, l.index); err != nil {
		return addr, err
	}
	if err := n.at("inside"); err != nil {
		return addr, err
	}
	replies, err = in.do(
		setLink(1, true), setLink(l.peer, false, noIPv6()), setLink(l.peer, true), newAddr(l.peer, addr, n.gateway()),
		newRoute(l.peer, netip.Addr{}, n.gateway()),
	)
	for i := range replies {
		if i != 1 && err == nil {
			err = replies[i].err
		}
	}
	if err != nil {
		return addr, fmt.Errorf("set up %s inside: %w", inside, err)
	}
	return addr, nil
}

// lead makes the forwarded ports, and applies admit. First it removes ports that still lead to the
// address for a former sandbox.
func (n *Network) lead(t *table, have []port, want []Forward, addr netip.Addr, name string) error {
	if err := n.at("ports"); err != nil {
		return err
	}
	stale := slices.DeleteFunc(slices.Clone(have), func(p port) bool { return p.to != addr && p.owner != name })
	if err := t.dropPorts(stale); err != nil {
		return err
	}
	var ports []port
	for _, f := range want {
		ports = append(ports, port{f, addr, name})
	}
	if err := t.addPorts(ports); err != nil {
		return err
	}
	return t.flush("forward ports, and say where a sandbox may go")
}

// finish marks a link as complete.
func (n *Network) finish(s *socket, name, alias string) error {
	if err := n.at("alias"); err != nil {
		return err
	}
	l, ok, err := s.link(name)
	if err != nil || !ok {
		return fmt.Errorf("the link %s is gone again: %w", name, errors.Join(err))
	}
	return s.all("name link "+name, setLink(l.index, false, aliasAttr(alias)))
}

// Detach takes a sandbox's network away; if it has none that is no error. The end of a link waits
// for all processors. That takes some tens of milliseconds, in which others may attach and detach,
// so a caller in a hurry calls it in the background. Where the sandbox's processes have ended
// before, the kernel may have done that part already.
func (n *Network) Detach(ctx context.Context, id compute.ID) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return &compute.Error{Op: "network.Detach", ID: id, Kind: compute.ErrUnavailable, Err: err}
	}
	s, err := dial(unix.NETLINK_ROUTE)
	if err != nil {
		unlock()
		return opError("network.Detach", id, err)
	}
	defer s.close()
	l, err := n.detach(s, id)
	unlock()
	if err == nil {
		err = n.bury(s, l)
	}
	if err != nil {
		return opError("network.Detach", id, err)
	}
	return nil
}

// detach unlinks a sandbox's network, and returns the links that are left to remove.
func (n *Network) detach(s *socket, id compute.ID) ([]link, error) {
	t, err := openTable(n.table, n.links)
	if err != nil {
		return nil, err
	}
	defer t.close()
	name := n.link(id)
	l, ok, err := s.link(name)
	if err != nil {
		return nil, err
	}
	if owner, _, ours := n.owned(l.alias); ok && l.alias != "" && (!ours || owner != id) {
		return nil, nil // another's
	}
	ports, err := t.ports()
	if err != nil {
		return nil, err
	}
	if _, addr, ours := n.owned(l.alias); ours {
		if err := n.dismiss(t, func(a netip.Addr) bool { return a != addr }); err != nil {
			return nil, err
		}
	}
	return []link{l}, n.doom(s, t, l, ownedBy(ports, name))
}

// doom removes forwarded ports. It also marks the link, if it has an index, for removal: the link
// loses its alias, and joins the group of those.
func (n *Network) doom(s *socket, t *table, l link, ports []port) error {
	if err := n.at("unlead"); err != nil {
		return err
	}
	if len(ports) > 0 {
		if err := t.dropPorts(ports); err != nil {
			return err
		}
		if err := t.flush("remove forwarded ports"); err != nil {
			return err
		}
	}
	if err := n.at("doom"); err != nil {
		return err
	}
	if l.index == 0 {
		return nil
	}
	if err := s.all("mark link "+l.name, setLink(l.index, false, aliasAttr(""), groupAttr(n.group))); !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// bury removes all marked links at once, and the kernel's memory of the connections of the given
// ones.
func (n *Network) bury(s *socket, links []link) error {
	if err := n.at("bury"); err != nil {
		return err
	}
	links = slices.DeleteFunc(slices.Clone(links), func(l link) bool { return l.index == 0 })
	if len(links) == 0 {
		return nil
	}
	if err := s.all("remove links", delGroup(n.group)); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	for _, l := range links {
		if _, addr, ours := n.owned(l.alias); ours {
			forget(addr)
		}
	}
	return nil
}

// unmake is doom and bury.
func (n *Network) unmake(s *socket, t *table, l link, ports []port) error {
	if err := n.doom(s, t, l, ports); err != nil {
		return err
	}
	return n.bury(s, []link{l})
}
