package apiprocess

import (
	"container/list"
	"net"
	"net/http"
	"sync"

	"github.com/hostler-project/hostler/auth"
)

// places are those of strangers' connections. A network may have as many as are left over. Where it
// may have no other, the connection that has been idle longest makes room.
type places struct {
	most int

	mu    sync.Mutex
	taken int
	by    map[string]int // by network
	idle  list.List      // of *placed, the longest idle first; also what has not begun yet
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	of      *places
	network string

	at    *list.Element // in idle; nil: it is not
	ended bool
}

func newPlaces(most int) *places { return &places{most: most, by: map[string]int{}} }

// admit gives a connection a place, or closes it and returns nil.
func (p *places) admit(c net.Conn) *placed {
	if c.RemoteAddr() == nil { // it has ended already
		_ = c.Close()
		return nil
	}
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String()) // a connection by TCP has both
	out := &placed{Conn: c, of: p, network: auth.Network(host)}
	var ended []net.Conn
	p.mu.Lock()
	for p.by[out.network] >= p.most-p.taken {
		v := p.longest(out.network)
		if v == nil {
			out, ended = nil, append(ended, c)
			break
		}
		p.leave(v)
		ended = append(ended, v.Conn)
	}
	if out != nil {
		p.taken++
		p.by[out.network]++
		out.at = p.idle.PushBack(out)
	}
	p.mu.Unlock()
	for _, c := range ended {
		_ = c.Close()
	}
	return out
}

// longest is the connection that makes room for another of a network: the longest idle of its own
// network; or of one that has more, if the network then has its place; or nil.
func (p *places) longest(network string) (of *placed) {
	own := p.by[network]
	for e := p.idle.Front(); e != nil; e = e.Next() {
		c := e.Value.(*placed)
		if c.network == network {
			return c
		}
		if of == nil && own <= p.most-p.taken && p.by[c.network] > own {
			of = c
		}
	}
	return of
}

// leave frees the place of a connection.
func (p *places) leave(c *placed) {
	if c.ended {
		return
	}
	c.ended = true
	p.note(c, false)
	p.taken--
	if p.by[c.network]--; p.by[c.network] == 0 {
		delete(p.by, c.network)
	}
}

// note notes whether a connection is idle now.
func (p *places) note(c *placed, idle bool) {
	if c.at != nil {
		p.idle.Remove(c.at)
		c.at = nil
	}
	if idle {
		c.at = p.idle.PushBack(c)
	}
}

// changed is a server's ConnState.
func (p *places) changed(c net.Conn, now http.ConnState) {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	of, ok := c.(*placed)
	if !ok || now == http.StateNew {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !of.ended {
		p.note(of, now == http.StateIdle)
	}
}

func (c *placed) Close() error {
	c.of.mu.Lock()
	c.of.leave(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
