//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// patience is how long to wait for an answer of the kernel. It answers at once, unless another
// process holds the lock of all network configuration.
const patience = 30 * time.Second

// socket is a netlink socket that sends several requests in one message. Each still takes the
// kernel's lock of all network configuration, but only one round trip is paid.
type socket struct {
	fd  int
	seq uint32
	buf []byte
}

// dial opens a netlink socket of the thread's network name space. A read fails after patience.
func dial(proto int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	if err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
	); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, buf: make([]byte, 64<<10)}, nil
}

// dialIn opens a socket in another network name space. The socket stays in it; the thread comes
// back.
func dialIn(ns *os.File) (*socket, error) {
	type answer struct {
		s   *socket
		err error
	}
	got := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			got <- answer{nil, err}
			return
		}
		defer home.Close()
		if err := strange(home, ns); err != nil {
			runtime.UnlockOSThread()
			got <- answer{nil, err}
			return
		}
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			got <- answer{nil, os.NewSyscallError("setns", err)}
			return
		}
		s, err := dial(unix.NETLINK_ROUTE)
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
		got <- answer{s, err}
	}()
	a := <-got
	return a.s, a.err
}

// strange refuses a name space that is this process's own, whose eth0 may be the machine's.
func strange(home, ns *os.File) error {
	a, err := home.Stat()
	if err != nil {
		return err
	}
	b, err := ns.Stat()
	if err == nil && os.SameFile(a, b) {
		err = errOwn
	}
	return err
}

var errOwn = errors.New("this is hostler's own network name space")

func (s *socket) close() { _ = unix.Close(s.fd) }

// reply is the kernel's answer to one request.
type reply struct {
	err  error
	data [][]byte // without netlink's header
}

// do sends the requests and returns a reply for each. The error is the socket's.
func (s *socket) do(reqs ...*nl.NetlinkRequest) ([]reply, error) {
	var out []byte
	first := s.seq + 1
	for _, r := range reqs {
		s.seq++
		r.Seq = s.seq
		if r.Flags&unix.NLM_F_DUMP != unix.NLM_F_DUMP {
			r.Flags |= unix.NLM_F_ACK
		}
		out = append(out, r.Serialize()...)
	}
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("send", err)
	}
	replies := make([]reply, len(reqs))
	for left := len(reqs); left > 0; {
		n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("receive", err)
		}
		for b := s.buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				return nil, errors.New("the kernel's answer is cut")
			}
			kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
			body := b[unix.NLMSG_HDRLEN:size]
			b = b[min(len(b), (size+3)&^3):]
			if seq < first || seq > s.seq {
				continue // late, of an earlier request
			}
			r := &replies[seq-first]
			switch kind {
			case unix.NLMSG_DONE:
				left--
			case unix.NLMSG_ERROR:
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
					r.err = unix.Errno(-code)
				}
				left--
			default:
				r.data = append(r.data, append([]byte(nil), body...))
			}
		}
	}
	return replies, nil
}

// all sends the requests and returns the first error.
func (s *socket) all(what string, reqs ...*nl.NetlinkRequest) error {
	replies, err := s.do(reqs...)
	for i := 0; err == nil && i < len(replies); i++ {
		if err = replies[i].err; err != nil {
			err = fmt.Errorf("request %d: %w", i+1, err)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// link is a network interface.
type link struct {
	index  int
	peer   int // the other end's index
	master int // the index of the bridge that it is a port of
	flags  uint32
	mtu    int
	name   string
	alias  string
}

// parseLink reads one network interface of rtnetlink(7). It returns false for a damaged one.
func parseLink(b []byte) (link, bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, false
	}
	m := nl.DeserializeIfInfomsg(b)
	l := link{index: int(m.Index), flags: m.Flags}
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, false
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFLA_IFNAME:
			l.name = strings.TrimRight(string(a.Value), "\x00")
		case unix.IFLA_IFALIAS:
			l.alias = strings.TrimRight(string(a.Value), "\x00")
		case unix.IFLA_LINK:
			l.peer = int(binary.NativeEndian.Uint32(a.Value))
		case unix.IFLA_MASTER:
			l.master = int(binary.NativeEndian.Uint32(a.Value))
		case unix.IFLA_MTU:
			l.mtu = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return l, true
}

const skipStatistics = 1 << 3 // RTEXT_FILTER_SKIP_STATS

// link looks an interface up; ok is false when there is none.
func (s *socket) link(name string) (l link, ok bool, err error) {
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	replies, err := s.do(r)
	if err != nil {
		return link{}, false, err
	}
	if errors.Is(replies[0].err, unix.ENODEV) {
		return link{}, false, nil
	}
	if replies[0].err != nil || len(replies[0].data) == 0 {
		return link{}, false, fmt.Errorf("look up link %s: %w", name, errors.Join(replies[0].err))
	}
	l, ok = parseLink(replies[0].data[0])
	return l, ok, nil
}

// links returns all interfaces.
func (s *socket) links() ([]link, error) {
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	replies, err := s.do(r)
	if err == nil {
		err = replies[0].err
	}
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var out []link
	for _, b := range replies[0].data {
		if l, ok := parseLink(b); ok {
			out = append(out, l)
		}
	}
	return out, nil
}

// newVeth asks for a pair of links, one here, the other as eth0 in ns.
func newVeth(name string, ns *os.File, mtu int) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	if mtu > 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("eth0"))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns.Fd())))
	if mtu > 0 {
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	}
	r.AddData(info)
	return r
}

// delGroup asks for the end of all links of a group.
func delGroup(group uint32) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.AddData(groupAttr(group))
	return r
}

// setLink asks for a change of an interface.
func setLink(index int, up bool, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	if up {
		m.Flags, m.Change = unix.IFF_UP, unix.IFF_UP
	}
	r.AddData(m)
	for _, a := range attrs {
		r.AddData(a)
	}
	return r
}

// The numbers of an interface's IPv4 settings in netlink, as in linux/ip.h.
const (
	confForwarding      = 1
	confAcceptRedirects = 4
	confSendRedirects   = 6
	confRPFilter        = 8
	confRouteLocalnet   = 26
)

// conf4 is the attribute with IPv4 settings.
func conf4(settings map[int]uint32) *nl.RtAttr {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	inet := spec.AddRtAttr(unix.AF_INET|unix.NLA_F_NESTED, nil)
	conf := inet.AddRtAttr(1|unix.NLA_F_NESTED, nil) // IFLA_INET_CONF
	for k, v := range settings {
		conf.AddRtAttr(k, nl.Uint32Attr(v))
	}
	return spec
}

// noIPv6 is the attribute that keeps an interface from giving itself an IPv6 address.
func noIPv6() *nl.RtAttr {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	inet6 := spec.AddRtAttr(unix.AF_INET6|unix.NLA_F_NESTED, nil)
	inet6.AddRtAttr(8, nl.Uint8Attr(1)) // IFLA_INET6_ADDR_GEN_MODE: none
	return spec
}

// newAddr makes the request for a /32 address, with a peer if that is valid.
func newAddr(index int, addr, peer netip.Addr) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m := nl.NewIfAddrmsg(unix.AF_INET)
	m.Index, m.Prefixlen = uint32(index), 32
	r.AddData(m)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	if peer.IsValid() {
		r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, peer.AsSlice()))
	} else {
		r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
		r.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(unix.IFA_F_NOPREFIXROUTE)))
	}
	return r
}

// newRoute asks for a route: to one address by the interface alone, or everywhere by a gateway. It
// is refused when there is one.
func newRoute(index int, to, gateway netip.Addr) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m := nl.NewRtMsg()
	m.Family, m.Protocol = unix.AF_INET, unix.RTPROT_STATIC
	if to.IsValid() {
		m.Dst_len, m.Scope = 32, unix.RT_SCOPE_LINK
	}
	r.AddData(m)
	if to.IsValid() {
		r.AddData(nl.NewRtAttr(unix.RTA_DST, to.AsSlice()))
	} else {
		r.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	}
	r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return r
}

func aliasAttr(alias string) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)) }

func groupAttr(group uint32) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)) }
