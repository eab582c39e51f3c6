package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/hostler-project/hostler/text/visible"
)

// Resolver finds the addresses of a name. A [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options say what a Guard allows. The zero value allows the internet only.
type Options struct {
	Allow Rules // allowed besides the internet
	Deny  Rules // denied, whatever else allows it
	// Refused is called for each refusal; nil: nothing is called. It must not block.
	Refused func(ctx context.Context, r *Refused)

	// nil: the system's
	Resolver Resolver
	// this machine's addresses; nil: those of its interfaces at each call
	Own func() ([]netip.Addr, error)
	// connects to an address and port; nil: net.Dialer
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Guard decides where this process may connect for others. Its methods may be called
// concurrently.
type Guard struct{ opt Options }

// New makes a Guard.
func New(opt Options) *Guard {
	if opt.Resolver == nil {
		opt.Resolver = net.DefaultResolver
	}
	if opt.Own == nil {
		opt.Own = interfaces
	}
	if opt.Dial == nil {
		opt.Dial = (&net.Dialer{Timeout: patience}).DialContext
	}
	return &Guard{opt}
}

// And returns a Guard that allows more. g does not change.
func (g *Guard) And(more Rules) *Guard {
	opt := g.opt
	opt.Allow = append(append(Rules{}, opt.Allow...), more...)
	return &Guard{opt}
}

// Refused is the error for an address that the guard refuses. Its text does not reveal what a name
// resolves to; the fields do, and are for the log.
type Refused struct {
	Host string // as requested
	Port uint16
	Addr netip.Addr // the refused address; zero: none was looked up
	Why  string     // for the log
}

// Hint tells an operator how to allow it.
const Hint = "the operator of the controller allows it by allow = HOST:PORT, or a range, in [fetch] of hostler.conf"

// Error says what was refused, and not why.
func (e *Refused) Error() string {
	return shown(e.Host) + ": it is nowhere that this controller fetches from for others"
}

// Where returns HOST:PORT, safe to print.
func (e *Refused) Where() string {
	return net.JoinHostPort(shown(e.Host), strconv.Itoa(int(e.Port)))
}

// shown shortens a host and makes it safe to print.
func shown(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return visible.Line(s)
}

// refuse reports a refusal and returns it as the error.
func (g *Guard) refuse(ctx context.Context, r *Refused) error {
	if g.opt.Refused != nil {
		g.opt.Refused(ctx, r)
	}
	return r
}

// Check resolves HOST:PORT and judges all its addresses without connecting, for a program that
// fetches by itself. It cannot protect that program from a later change of the name.
func (g *Guard) Check(ctx context.Context, address string) error {
	_, _, err := g.check(ctx, address)
	return err
}

// check returns the addresses of HOST:PORT. If one of them is refused, the whole name is.
func (g *Guard) check(ctx context.Context, address string) ([]netip.Addr, uint16, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, errors.New("no HOST:PORT to fetch from")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return nil, 0, errors.New("no port to fetch from")
	}
	port := uint16(n)
	if host == "" { // a dialer would take it for this machine
		return nil, 0, g.refuse(ctx, &Refused{Host: host, Port: port, Why: "no host"})
	}
	found, err := g.resolve(ctx, host)
	if err != nil {
		return nil, 0, err
	}
	own, err := g.opt.Own()
	if err != nil {
		return nil, 0, fmt.Errorf("the addresses of this machine are not known: %w", err)
	}
	for _, a := range found {
		t := target{foldHost(host), port, unmap(a), kindOf(unmap(a))}
		if t.kind != loopback && t.kind != metadata && isOwn(t.addr, own) {
			t.kind = ownAddress
		}
		if g.opt.Deny.match(t) {
			return nil, 0, g.refuse(ctx, &Refused{host, port, a, "denied by the configuration"})
		}
		if t.kind != public && !g.opt.Allow.allow(t) {
			return nil, 0, g.refuse(ctx, &Refused{host, port, a, "an address of " + t.kind.String()})
		}
	}
	return found, port, nil
}

// resolve returns the addresses of a host.
func (g *Guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	found, err := g.opt.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Unknown{Host: host, Err: err}
	}
	if len(found) == 0 {
		return nil, &Unknown{Host: host, Err: errors.New("no address")}
	}
	return found, nil
}

// Unknown is the error for a name without an address.
type Unknown struct {
	Host string
	Err  error
}

// Error leaves out which server the resolver asked.
func (e *Unknown) Error() string { return shown(e.Host) + ": its name leads nowhere" }

// Unwrap returns the resolver's error.
func (e *Unknown) Unwrap() error { return e.Err }

// isOwn reports whether an address is this machine's: that of an interface, or one that the kernel
// routes to itself.
func isOwn(a netip.Addr, own []netip.Addr) bool {
	for _, o := range own {
		if unmap(o) == a {
			return true
		}
	}
	// a UDP socket that is connected sends nothing
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 9)))
	if err != nil {
		return false
	}
	defer c.Close()
	from, ok := c.LocalAddr().(*net.UDPAddr)
	return ok && unmap(from.AddrPort().Addr()) == a
}

// interfaces returns the current addresses of this machine.
func interfaces() (out []netip.Addr, err error) {
	all, err := net.InterfaceAddrs()
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out, err
}
