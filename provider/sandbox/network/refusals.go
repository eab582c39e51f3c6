//go:build linux

package network

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// The numbers of the kernel's reports of packets, as in linux/netfilter/nfnetlink_log.h.
const (
	reportPacket  = unix.NFNL_SUBSYS_ULOG << 8
	reportConfig  = unix.NFNL_SUBSYS_ULOG<<8 | 1
	configCommand = 1 // NFULA_CFG_CMD
	configMode    = 2 // NFULA_CFG_MODE
	reportPayload = 9 // NFULA_PAYLOAD
)

// hear listens to a group of the kernel's reports.
func hear(group uint16) (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	const bind, packets = 1, 2 // NFULNL_CFG_CMD_BIND, NFULNL_COPY_PACKET
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: configCommand, Data: []byte{bind}},
		{Type: configMode, Data: []byte{0, 0, 0, 128, packets, 0}}, // of each the first 128 bytes
	})
	if err == nil {
		head := append([]byte{unix.AF_UNSPEC, 0}, binary.BigEndian.AppendUint16(nil, group)...)
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{Type: reportConfig, Flags: netlink.Request | netlink.Acknowledge}, Data: append(head, attrs...),
		})
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// refusals logs the packets that the kernel reports.
func (a *dnsServer) refusals(c *netlink.Conn) {
	for {
		all, err := c.Receive()
		if err != nil {
			if opErr, ok := err.(*netlink.OpError); ok && opErr.Err == unix.ENOBUFS {
				continue
			}
			return
		}
		for _, m := range all {
			if m.Header.Type != reportPacket || len(m.Data) < 4 {
				continue
			}
			attrs, err := netlink.UnmarshalAttributes(m.Data[4:])
			if err != nil {
				continue
			}
			for _, at := range attrs {
				if at.Type == reportPayload {
					a.refused(at.Data)
				}
			}
		}
	}
}

// refused logs a packet.
func (a *dnsServer) refused(packet []byte) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return
	}
	from, to := netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
	b, err := a.n.kept.box(from)
	if err != nil {
		return
	}
	what := fmt.Sprintf("protocol %d", packet[9])
	if name := map[byte]string{
		unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_SCTP: "sctp",
	}[packet[9]]; name != "" {
		what = name
		if head := int(packet[0]&15) * 4; packet[9] != unix.IPPROTO_ICMP && len(packet) >= head+4 {
			what += fmt.Sprintf(" port %d", binary.BigEndian.Uint16(packet[head+2:]))
		}
	}
	a.told.tell(b, fmt.Sprintf("%s, %s, is not in egress", to, what))
}

// teller logs the sandboxes' refusals, some lines of each.
type teller struct {
	log *slog.Logger
	mu  sync.Mutex
	of  map[netip.Addr]*told
}

// told is the log's state for one address.
type told struct {
	rate *rate.Limiter
	left int // refusals left out since the last line
}

func newTeller(log *slog.Logger) *teller { return &teller{log: log, of: map[netip.Addr]*told{}} }

// tell logs a refusal: ten of an address at once, and then one a second. It counts the others
// for the next line.
func (t *teller) tell(b sandboxNet, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.of) > 1<<14 {
		clear(t.of)
	}
	of := t.of[b.addr]
	if of == nil {
		of = &told{rate: rate.NewLimiter(1, 10)}
		t.of[b.addr] = of
	}
	if !of.rate.Allow() {
		of.left++
		return
	}
	args := []any{"instance", b.ID}
	if of.left > 0 {
		args = append(args, "and more", of.left)
	}
	of.left = 0
	t.log.Info("refused: "+what, args...)
}
