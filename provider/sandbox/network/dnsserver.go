//go:build linux

package network

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	answerLooks = 2 * time.Second  // how often Answer checks that a sandbox is left
	answerWait  = 10 * time.Second // how long its start may take
	mostAsked   = 512              // questions at once
	mostOfOne   = 16               // of one sandbox: an idle connection counts too
)

// startDNS makes sure that a process answers questions for names. The installation's lock is held,
// so no such process ends meanwhile.
func (n *Network) startDNS() error {
	f, err := os.OpenFile(n.dnsLock(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("flock", err)
	}
	log, err := os.OpenFile(n.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(n.o.Answers[0], append(append([]string(nil), n.o.Answers[1:]...), n.o.Dir, n.o.Installation)...)
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.SysProcAttr = "/", []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=2",
	}, log, &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start who answers for names: %w", err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
		_ = cmd.Wait()
	}()
	select {
	case line := <-said:
		if line == readyLine {
			return nil
		}
	case <-time.After(answerWait):
		_ = cmd.Process.Kill()
	}
	return fmt.Errorf("who answers for names did not start; %s says why", log.Name())
}

const readyLine = "ready\n"

func (n *Network) logFile() string { return filepath.Join(n.o.Dir, "egress.log") }

// mostLog is the size of the log of refusals at which it begins anew, in bytes.
const mostLog = 1 << 20

// trim empties the log when it is too long. Writers append, so they go on at its beginning.
func (n *Network) trim() {
	if fi, err := os.Lstat(n.logFile()); err == nil && fi.Mode().IsRegular() && fi.Size() > mostLog {
		_ = os.Truncate(n.logFile(), 0)
	}
}

func (n *Network) dnsLock() string { return filepath.Join(n.o.Dir, "answers.lock") }

// Keep makes sure that a process answers for names, if the policy has any: the last one may have
// been killed.
func (n *Network) Keep(ctx context.Context) error {
	if !n.o.Egress.Named() || len(n.o.Answers) == 0 {
		return nil
	}
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if entries, err := os.ReadDir(n.kept.dirPath()); err != nil || len(entries) == 0 {
		return nil // nobody asks
	}
	return n.startDNS()
}

// Answer answers the questions for names of sandboxes with a policy of names. It asks the name
// servers of a resolv.conf, and logs the sandboxes' refusals, until no sandbox is left. It writes a
// line to ready when it answers. If another process answers already, it ends.
func Answer(ctx context.Context, dir, installation, resolv string, log *slog.Logger, ready io.Writer) error {
	n, err := known(Options{Installation: installation, Dir: dir})
	if err != nil {
		return err
	}
	lock, err := os.OpenFile(n.dnsLock(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_, err := io.WriteString(ready, readyLine)
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	a := &dnsServer{n: n, told: newTeller(log), resolv: resolv}
	at := netip.AddrPortFrom(n.gateway(), n.answers()).String()
	lc := net.ListenConfig{Control: freebind}
	udp, err := lc.ListenPacket(ctx, "udp4", at)
	if err != nil {
		return err
	}
	defer udp.Close()
	tcp, err := lc.Listen(ctx, "tcp4", at)
	if err != nil {
		return err
	}
	defer tcp.Close()
	refused, err := hear(n.hears())
	if err != nil { // without it all works, and nothing is logged
		log.Warn("what is refused is not written down", "err", err)
	} else {
		defer refused.Close()
		go a.refusals(refused)
	}
	go a.packets(ctx, udp.(*net.UDPConn))
	go a.streams(ctx, tcp)
	if _, err := io.WriteString(ready, readyLine); err != nil {
		return err
	}
	if c, ok := ready.(io.Closer); ok {
		_ = c.Close()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(answerLooks):
		}
		n.trim()
		if gone, err := n.unused(ctx, lock); err != nil || gone {
			return err
		}
	}
}

// unused reports whether no sandbox is left, and then gives the lock up, while none can come.
func (n *Network) unused(ctx context.Context, answers *os.File) (bool, error) {
	if entries, err := os.ReadDir(n.kept.dirPath()); err == nil && len(entries) > 0 {
		return false, nil
	}
	if _, err := os.Stat(n.o.Dir); err != nil {
		return true, nil // the directory is gone
	}
	unlock, err := n.lock(ctx)
	if err != nil {
		return true, err
	}
	defer unlock()
	if entries, err := os.ReadDir(n.kept.dirPath()); err == nil && len(entries) > 0 {
		return false, nil
	}
	return true, answers.Close()
}

// known opens the network of an installation that has sandboxes, from its records.
func known(o Options) (*Network, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(o.Dir, "range"))
	if err != nil {
		return nil, err
	}
	n := named(o)
	n.rng, err = netip.ParsePrefix(strings.TrimSpace(string(text)))
	return n, err
}

// freebind lets a socket listen at an address that only comes with the first link.
func freebind(_, _ string, c syscall.RawConn) (err error) {
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}

// dnsServer answers for one installation's sandboxes. It is used by many goroutines.
type dnsServer struct {
	n      *Network
	told   *teller
	slots  slots
	resolv string
	table  sync.Mutex // held while the table changes
}

// slots bounds the questions that are being answered, per sandbox and in all, so that no sandbox
// takes them from its neighbours.
type slots struct {
	mu  sync.Mutex
	all int
	of  map[netip.Addr]int
}

// take takes a slot for a sandbox; false: it, or all together, have as many as they may.
func (s *slots) take(who netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= mostAsked || s.of[who] >= mostOfOne {
		return false
	}
	if s.of == nil {
		s.of = map[netip.Addr]int{}
	}
	s.all++
	s.of[who]++
	return true
}

func (s *slots) give(who netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[who]--; s.of[who] == 0 {
		delete(s.of, who)
	}
}

// packets answers the queries that come by UDP, until its socket is closed. It drops a query for
// which there is no free slot.
func (a *dnsServer) packets(ctx context.Context, c *net.UDPConn) {
	buf := make([]byte, 4096)
	for {
		size, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		query, who := append([]byte(nil), buf[:size]...), from.Addr().Unmap()
		if !a.slots.take(who) {
			continue // the sandbox asks again
		}
		go func() {
			defer a.slots.give(who)
			if out := a.answer(query, who, false); out != nil {
				_, _ = c.WriteToUDPAddrPort(out, from)
			}
		}()
	}
}

// streams answers questions that come over TCP, until the listener closes.
func (a *dnsServer) streams(ctx context.Context, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !a.slots.take(from) {
			_ = c.Close()
			continue
		}
		go func() {
			defer func() { _ = c.Close(); a.slots.give(from) }()
			_ = c.SetDeadline(time.Now().Add(answerWait))
			for range 16 {
				query, err := readFramed(c)
				if err != nil {
					return
				}
				out := a.answer(query, from, true)
				if out == nil || writeFramed(c, out) != nil {
					return
				}
			}
		}()
	}
}

// readFramed reads one message of DNS over TCP: its length in two bytes, then the message (RFC
// 1035, 4.2.2).
func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFramed(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// lead allows a sandbox's policy to reach addresses.
func (a *dnsServer) lead(b sandboxNet, entries []int, addrs []netip.Addr, ttl time.Duration) error {
	a.table.Lock()
	defer a.table.Unlock()
	t, err := openTable(a.n.table, a.n.links)
	if err != nil {
		return err
	}
	defer t.close()
	return t.leads(policyName(b.policy), entries, addrs, ttl)
}
