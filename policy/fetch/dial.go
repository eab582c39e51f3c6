package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	patience  = 30 * time.Second       // for connecting to one address
	headStart = 300 * time.Millisecond // before the next address is tried at the same time
)

// DialContext connects to HOST:PORT by TCP, at an address that the guard allows.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, errors.New("nothing is fetched by " + network)
	}
	found, port, err := g.check(ctx, address)
	if err != nil {
		return nil, err
	}
	return g.race(ctx, found, port)
}

// race tries addresses in order and keeps the first connection. The next address starts when one
// fails or does not answer soon.
func (g *Guard) race(ctx context.Context, all []netip.Addr, port uint16) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	try := func(a netip.Addr) {
		c, err := g.opt.Dial(ctx, "tcp", netip.AddrPortFrom(a, port).String())
		select {
		case results <- result{c, err}:
		case <-ctx.Done():
			if c != nil {
				_ = c.Close() // another was first
			}
		}
	}
	var first error
	next := time.NewTimer(0)
	defer next.Stop()
	for running := 0; running > 0 || len(all) > 0; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-next.C:
			if len(all) > 0 {
				go try(all[0])
				all, running = all[1:], running+1
				next.Reset(headStart)
			}
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			if running--; first == nil {
				first = r.err
			}
			next.Reset(0)
		}
	}
	return nil, first
}
