// Package forward is a program that has a port lead to another: streams (tcp) or packets (udp).
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
)

const (
	dialing = 10 * time.Second
	// a sender of packets is forgotten when nothing was sent either way for so long
	quiet   = time.Minute
	maxPeer = 1024 // senders of packets at once
	maxConn = 4096 // connections at once
)

// Options say which address leads where. After the port is open, the process becomes UID and GID,
// unless they are 0.
type Options struct {
	Network  string // tcp or udp
	From, To netip.AddrPort
	UID, GID uint32
}

// Args are the options as a command's arguments.
func (o *Options) Args() []string {
	args := []string{o.Network, o.From.String(), o.To.String()}
	if o.UID != 0 {
		args = append(args, fmt.Sprint(o.UID), fmt.Sprint(o.GID))
	}
	return args
}

// Parse reads them.
func Parse(args []string) (o Options, err error) {
	fail := func(err error) (Options, error) {
		return o, &compute.Error{Op: "forward.Parse", Kind: compute.ErrInvalid, Err: err}
	}
	if len(args) != 3 && len(args) != 5 || args[0] != "tcp" && args[0] != "udp" {
		return fail(errors.New("the arguments are tcp or udp, ADDRESS:PORT, ADDRESS:PORT and perhaps UID and GID"))
	}
	o.Network = args[0]
	if o.From, err = netip.ParseAddrPort(args[1]); err != nil {
		return fail(err)
	}
	if o.To, err = netip.ParseAddrPort(args[2]); err != nil {
		return fail(err)
	}
	if len(args) == 5 {
		uid, err := strconv.ParseUint(args[3], 10, 32)
		gid, more := strconv.ParseUint(args[4], 10, 32)
		if err := errors.Join(err, more); err != nil {
			return fail(err)
		}
		if uid == 0 || gid == 0 {
			return fail(errors.New("who is to be no longer root cannot become uid or gid 0"))
		}
		o.UID, o.GID = uint32(uid), uint32(gid)
	}
	return o, nil
}

// Run forwards until ctx ends. ready, which may be nil, is called with the listening address.
func Run(ctx context.Context, o Options, ready func(net.Addr)) error {
	var run func() error
	var at net.Addr
	family := "6"
	if o.From.Addr().Is4() {
		// 0.0.0.0 would be all addresses of IPv6 too, of which a program behind us may have the
		// same port
		family = "4"
	}
	if o.Network == "udp" {
		c, err := net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(o.From))
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		defer c.Close()
		at, run = c.LocalAddr(), func() error { return packets(c, o.To) }
	} else {
		l, err := net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(o.From))
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { _ = l.Close() })()
		defer l.Close()
		at, run = l.Addr(), func() error { return streams(ctx, l, o.To) }
	}
	if err := o.become(); err != nil {
		return err
	}
	if ready != nil {
		ready(at)
	}
	if err := run(); ctx.Err() == nil {
		return err
	}
	return nil
}

// become gives up being root.
func (o *Options) become() error {
	if o.UID == 0 || os.Getuid() == int(o.UID) {
		return nil
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("the groups cannot be left: %w", err)
	}
	if err := syscall.Setgid(int(o.GID)); err != nil {
		return fmt.Errorf("it cannot become gid %d: %w", o.GID, err)
	}
	if err := syscall.Setuid(int(o.UID)); err != nil {
		return fmt.Errorf("it cannot become uid %d: %w", o.UID, err)
	}
	if syscall.Setuid(0) == nil {
		return errors.New("it can become root again")
	}
	return nil
}

// streams joins connections.
func streams(ctx context.Context, l *net.TCPListener, to netip.AddrPort) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxConn)
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			d := net.Dialer{Timeout: dialing}
			far, err := d.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return
			}
			defer far.Close()
			defer context.AfterFunc(ctx, func() { _, _ = c.Close(), far.Close() })()
			join(c, far.(*net.TCPConn))
		})
	}
}

// join copies both ways, and tells each side when the other has no more to say.
func join(a, b *net.TCPConn) {
	var wg sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		wg.Go(func() {
			if _, err := io.Copy(way[1], way[0]); err != nil {
				_, _ = a.Close(), b.Close()
				return
			}
			_ = way[1].CloseWrite()
		})
	}
	wg.Wait()
}

// packets gives each sender a socket of its own, by which answers find their way back.
func packets(near *net.UDPConn, to netip.AddrPort) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	peers := map[netip.AddrPort]*net.UDPConn{}
	defer wg.Wait()
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		for _, far := range peers {
			_ = far.Close()
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := near.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		mu.Lock()
		far := peers[from]
		if far == nil && len(peers) < maxPeer {
			if far, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)); err == nil {
				peers[from] = far
				wg.Go(func() {
					back(near, far, from)
					mu.Lock()
					delete(peers, from)
					mu.Unlock()
					_ = far.Close()
				})
			}
		}
		mu.Unlock()
		if far != nil {
			_ = far.SetReadDeadline(time.Now().Add(quiet))
			_, _ = far.Write(buf[:n]) // one that is lost is lost, as packets are
		}
	}
}

// back brings answers to a sender until there are none for a while.
func back(near, far *net.UDPConn, from netip.AddrPort) {
	buf := make([]byte, 1<<16)
	for {
		n, err := far.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // no listener there now
		}
		if err != nil {
			return
		}
		_ = far.SetReadDeadline(time.Now().Add(quiet))
		if _, err := near.WriteToUDPAddrPort(buf[:n], from); err != nil && errors.Is(err, net.ErrClosed) {
			return
		}
	}
}
