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

// Options say what a Guard lets through.
type Options struct {
	Allow Rules // beyond the internet
	Deny  Rules // whatever else allows it
	// Refused hears of each refusal; nil: nobody does. It must not block.
	Refused func(ctx context.Context, r *Refused)

	// nil: the system's
	Resolver Resolver
	// this machine's addresses; nil: as they are when it is asked
	Own func() ([]netip.Addr, error)
	// an address and a port; nil: the network's
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Guard judges where this process may go for others. Its methods may be called by several
// goroutines.
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

// And is a Guard that allows more.
func (g *Guard) And(more Rules) *Guard {
	opt := g.opt
	opt.Allow = append(append(Rules{}, opt.Allow...), more...)
	return &Guard{opt}
}

// Refused is the error for what the guard does not fetch. Its text says nothing of what a name
// leads to here: the other fields are for the log.
type Refused struct {
	Host string // as it was asked for
	Port uint16
	Addr netip.Addr // the one that was refused; zero: none was looked for
	Why  string     // for the log
}

// Hint is what an operator can do.
const Hint = "the operator of the controller allows it by allow = HOST:PORT, or a range, in [fetch] of hostler.conf"

// Error says what was refused, and not what it leads to.
func (e *Refused) Error() string {
	return shown(e.Host) + ": it is nowhere that this controller fetches from for others"
}

// Where is the HOST:PORT, fit to be shown.
func (e *Refused) Where() string {
	return net.JoinHostPort(shown(e.Host), strconv.Itoa(int(e.Port)))
}

// shown is what somebody gave as a host, short and as a terminal may have it.
func shown(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return visible.Line(s)
}

// refuse makes the error, and tells of it.
func (g *Guard) refuse(ctx context.Context, r *Refused) error {
	if g.opt.Refused != nil {
		g.opt.Refused(ctx, r)
	}
	return r
}

// Check resolves a HOST:PORT and judges all its addresses, for what is not dialed here: a program
// that fetches on its own gets the answer alone.
func (g *Guard) Check(ctx context.Context, address string) error {
	_, _, err := g.judged(ctx, address)
	return err
}

// judged are the addresses of a HOST:PORT, all of which may be dialed. A name that leads anywhere
// else too is refused whole.
func (g *Guard) judged(ctx context.Context, address string) ([]netip.Addr, uint16, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, errors.New("no HOST:PORT to fetch from")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return nil, 0, errors.New("no port to fetch from")
	}
	port := uint16(n)
	if host == "" { // a dialer takes that for this machine
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
		t := target{foldHost(host), port, plain(a), kindOf(plain(a))}
		if t.kind != Loopback && t.kind != Metadata && isOwn(t.addr, own) {
			t.kind = Own
		}
		if g.opt.Deny.meets(t) {
			return nil, 0, g.refuse(ctx, &Refused{host, port, a, "denied by the configuration"})
		}
		if t.kind != Public && !g.opt.Allow.opens(t) {
			return nil, 0, g.refuse(ctx, &Refused{host, port, a, "an address of " + t.kind.String()})
		}
	}
	return found, port, nil
}

// resolve finds the addresses of a host.
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

// Unknown is the error for a name that has no address.
type Unknown struct {
	Host string
	Err  error
}

// Error leaves out whom the resolver asked.
func (e *Unknown) Error() string { return shown(e.Host) + ": its name leads nowhere" }

// Unwrap is what the resolver said.
func (e *Unknown) Unwrap() error { return e.Err }

// isOwn reports whether an address is this machine's: one of its interfaces', or one that the
// kernel routes to itself, from which it would speak too.
func isOwn(a netip.Addr, own []netip.Addr) bool {
	for _, o := range own {
		if plain(o) == a {
			return true
		}
	}
	// sends nothing
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 9)))
	if err != nil {
		return false
	}
	defer c.Close()
	from, ok := c.LocalAddr().(*net.UDPAddr)
	return ok && plain(from.AddrPort().Addr()) == a
}

// interfaces are the addresses of this machine as they are now.
func interfaces() (out []netip.Addr, err error) {
	all, err := net.InterfaceAddrs()
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out, err
}
