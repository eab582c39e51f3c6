//go:build linux

package network

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/hostler-project/hostler/provider/egress"
)

const (
	upstreamWait = 3 * time.Second  // for one server's answer
	leastLead    = 30 * time.Second // a name's addresses are reached at least so long,
	mostLead     = time.Hour        // at most,
	graceLead    = 30 * time.Second // and so much longer than the name server said
	kindSVCB     = dnsmessage.Type(64)
	kindHTTPS    = dnsmessage.Type(65)
)

// answer answers a sandbox's question; nil: it is not a question.
func (a *dnsServer) answer(query []byte, from netip.Addr, stream bool) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil || h.OpCode != 0 {
		return bare(h.ID, nil, dnsmessage.RCodeNotImplemented)
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return bare(h.ID, nil, dnsmessage.RCodeFormatError)
	}
	b, err := a.n.kept.box(from)
	if err != nil {
		return bare(h.ID, &q, dnsmessage.RCodeRefused)
	}
	name := strings.TrimSuffix(q.Name.String(), ".")
	entries := b.policy.Names(name)
	switch {
	case len(entries) == 0 && !b.policy.Asks():
		a.told.tell(b, fmt.Sprintf("the name %q is not in egress", name))
		return bare(h.ID, &q, dnsmessage.RCodeRefused)
	case q.Type == dnsmessage.TypeAAAA, q.Type == kindSVCB, q.Type == kindHTTPS:
		// sandboxes have no IPv6
		return bare(h.ID, &q, dnsmessage.RCodeSuccess)
	case q.Type == dnsmessage.TypeALL, q.Class != dnsmessage.ClassINET:
		return bare(h.ID, &q, dnsmessage.RCodeNotImplemented)
	}
	out, err := a.ask(query, h.ID, q, stream)
	if err != nil {
		a.told.tell(b, fmt.Sprintf("no name server answers for %q: %v", name, err))
		return bare(h.ID, &q, dnsmessage.RCodeServerFailure)
	}
	addrs, ttl, err := addresses(out)
	if err != nil {
		return bare(h.ID, &q, dnsmessage.RCodeServerFailure)
	}
	var lead []netip.Addr
	for _, addr := range addrs {
		switch {
		case egress.Public(addr):
			lead = append(lead, addr)
		case !b.policy.Reaches(addr): // the name has an address behind the wall
			a.told.tell(b, fmt.Sprintf("the name %q leads to %s, which egress does not reach", name, addr))
			return bare(h.ID, &q, dnsmessage.RCodeRefused)
		}
	}
	if len(lead) > 0 && len(entries) > 0 {
		if err := a.lead(b, entries, lead, min(max(ttl, leastLead), mostLead)+graceLead); err != nil {
			a.told.tell(b, fmt.Sprintf("what the name %q leads to cannot be opened: %v", name, err))
			return bare(h.ID, &q, dnsmessage.RCodeServerFailure)
		}
	}
	return out
}

// bare is an answer without records.
func bare(id uint16, q *dnsmessage.Question, code dnsmessage.RCode) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{
		ID: id, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: code,
	}}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
	}
	out, _ := m.Pack()
	return out
}

// addresses returns the addresses in the records of an answer, in all its parts, and their time to
// live.
func addresses(answer []byte) (out []netip.Addr, ttl time.Duration, err error) {
	var p dnsmessage.Parser
	if _, err := p.Start(answer); err != nil {
		return nil, 0, err
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, 0, err
	}
	ttl = mostLead
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return out, ttl, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if h.Type != dnsmessage.TypeA {
			if err := p.SkipAnswer(); err != nil {
				return nil, 0, err
			}
			continue
		}
		r, err := p.AResource()
		if err != nil {
			return nil, 0, err
		}
		out, ttl = append(out, netip.AddrFrom4(r.A)), min(ttl, time.Duration(h.TTL)*time.Second)
	}
}

// ask asks this machine's name servers, under a number that the sandbox does not know, so that no
// one can forge their answer with its help.
func (a *dnsServer) ask(query []byte, id uint16, q dnsmessage.Question, stream bool) ([]byte, error) {
	query = append([]byte(nil), query...)
	_, _ = rand.Read(query[:2])
	out, err := a.upstream(query, stream)
	if err != nil {
		return nil, err
	}
	var p dnsmessage.Parser
	h, err := p.Start(out)
	if err != nil {
		return nil, err
	}
	if got, err := p.Question(); err != nil || !h.Response || got.Type != q.Type || !strings.EqualFold(got.Name.String(), q.Name.String()) {
		return nil, errors.New("an answer to another question")
	}
	binary.BigEndian.PutUint16(out, id)
	return out, nil
}

// upstream asks the name servers of this machine in turn.
func (a *dnsServer) upstream(query []byte, stream bool) ([]byte, error) {
	text, err := os.ReadFile(a.resolv)
	if err != nil {
		return nil, err
	}
	err = errors.New("this machine has no name server")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		var out []byte
		if out, err = exchange(net.JoinHostPort(f[1], "53"), query, stream); err == nil {
			return out, nil
		}
	}
	return nil, err
}

// exchange sends one question to a name server and returns its answer.
func exchange(server string, query []byte, stream bool) ([]byte, error) {
	proto := "udp"
	if stream {
		proto = "tcp"
	}
	c, err := net.DialTimeout(proto, server, upstreamWait)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(upstreamWait))
	if stream {
		if err := writeFramed(c, query); err != nil {
			return nil, err
		}
		out, err := readFramed(c)
		if err == nil && (len(out) < 12 || [2]byte(out) != [2]byte(query)) {
			err = errors.New("not an answer")
		}
		return out, err
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if n >= 12 && [2]byte(buf) == [2]byte(query) {
			return buf[:n], nil
		}
	}
}
