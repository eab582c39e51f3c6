//go:build linux

package network_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// zone is what the world's name server knows, with an answer's time of a second.
var zone = map[string][]string{
	"good.example.": {worldAddr}, "a.good.example.": {worldAddr}, "evil.example.": {outsideAddr}, "inner.example.": {privateAddr},
	"meta.good.example.": {metadata}, "both.good.example.": {worldAddr, privateAddr}, "here.good.example.": {hostAddr},
	"lo.good.example.": {"127.0.0.1"},
}

// nameServer serves the zone at an address's port 53, by UDP and TCP, in the calling thread's name
// space.
func nameServer(t *testing.T, addr string) {
	t.Helper()
	reply := func(query []byte) []byte {
		var m dnsmessage.Message
		if m.Unpack(query) != nil {
			return nil
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		addrs, ok := zone[strings.ToLower(m.Questions[0].Name.String())]
		if !ok {
			m.RCode = dnsmessage.RCodeNameError
		}
		for _, a := range addrs {
			if m.Questions[0].Type == dnsmessage.TypeA {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(a).To4())},
				})
			}
		}
		out, _ := m.Pack()
		return out
	}
	u, err := net.ListenPacket("udp4", addr+":53")
	must(t, err)
	t.Cleanup(func() { u.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(reply(buf[:n]), from)
		}
	}()
}

// lookup asks a name server for a name's addresses, in the name space.
func (s *space) lookup(t *testing.T, server, name string) (addrs []string, code dnsmessage.RCode, err error) {
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
	}}
	query, perr := q.Pack()
	must(t, perr)
	s.in(func() {
		var c net.Conn
		if c, err = net.Dial("udp4", server+":53"); err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err = c.Write(query); err != nil {
			return
		}
		buf := make([]byte, 4096)
		var n int
		if n, err = c.Read(buf); err != nil {
			return
		}
		var m dnsmessage.Message
		if err = m.Unpack(buf[:n]); err != nil {
			return
		}
		code = m.RCode
		for _, r := range m.Answers {
			if a, ok := r.Body.(*dnsmessage.AResource); ok {
				addrs = append(addrs, net.IP(a.A[:]).String())
			}
		}
	})
	return addrs, code, err
}

// TestAnswers: with names in its policy a sandbox looks up these alone, and reaches what they led
// to, unless that is behind the wall.
func TestAnswers(t *testing.T) {
	outside := world(t)
	must(t, os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0))
	const server = "10.66.0.53" // a private address, as a network's own name servers have
	outside.in(func() {
		addTo(t, "lo", server+"/32")
		nameServer(t, server)
	})
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	must(t, os.WriteFile(resolv, []byte("nameserver "+server+"\n"), 0o600))
	o := options(t)
	o.Egress = policy(t, "good.example:80", "*.good.example", "inner.example", privateAddr)
	o.Answers = []string{"/proc/self/exe", "answer", resolv}
	n := open(t, o)
	a := attach(t, n, "a")
	gateway := a.Gateway.String()
	must(t, n.Keep(t.Context())) // runs already

	if got, _ := a.ask("tcp4", worldAddr+":80"); got != "" {
		t.Errorf("reached before anybody looked a name up: %s", got)
	}
	for _, s := range []string{server, outsideAddr} {
		if got, _, err := a.lookup(t, s, "good.example."); err == nil {
			t.Errorf("another name server, %s, answers: %v", s, got)
		}
	}
	for name, want := range map[string]string{
		"GOOD.example.": worldAddr, "a.good.example.": worldAddr, "inner.example.": privateAddr,
		"evil.example.": "REFUSED", "meta.good.example.": "REFUSED",
		"both.good.example.": worldAddr + " " + privateAddr, "lo.good.example.": "REFUSED",
		"here.good.example.": hostAddr, "none.good.example.": "NXDOMAIN",
		"good.example.evil.": "REFUSED",
	} {
		addrs, code, err := a.lookup(t, gateway, name)
		got := strings.Join(addrs, " ")
		switch code {
		case dnsmessage.RCodeRefused:
			got += "REFUSED"
		case dnsmessage.RCodeNameError:
			got += "NXDOMAIN"
		}
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %s", name, got, err, want)
		}
	}
	for addr, want := range map[string]bool{
		worldAddr + ":80": true, privateAddr + ":80": true, outsideAddr + ":80": false, metadata + ":80": false,
		hostAddr + ":80": false, "127.0.0.1:80": false,
	} {
		if got, err := a.ask("tcp4", addr); (got != "") != want {
			t.Errorf(`%s: got = %q err = %v; want (got != "") == want`, addr, got, err)
		}
	}
	var log string
	for range 30 { // the kernel reports with up to a second's delay
		text, err := os.ReadFile(filepath.Join(o.Dir, "egress.log"))
		must(t, err)
		if log = string(text); strings.Contains(log, "45.83.65.2, tcp port 80, is not in egress") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, want := range []string{
		`the name \"evil.example\" is not in egress" instance=a`,
		`leads to 169.254.169.254, which egress does not reach`, "45.83.65.2, tcp port 80, is not in egress",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("not in the log: %s", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
	for _, words := range []string{"good.example", "none"} { // who may not ask
		o.Egress = policy(t, words)
		m := open(t, o)
		b := attach(t, m, words)
		if got, code, err := b.lookup(t, gateway, "evil.example."); err == nil && code != dnsmessage.RCodeRefused {
			t.Errorf("%s: got = %v code = %v; want an error or code == dnsmessage.RCodeRefused", words, got, code)
		}
	}
	// The table is made anew with what was there.
	n.SetFlows(100)
	c := attach(t, n, "c")
	for _, x := range []sandboxNet{a, c} {
		if got, code, err := x.lookup(t, gateway, "good.example."); err != nil || len(got) != 1 {
			t.Errorf("in a new table: %v %v %v", got, code, err)
		}
		if got, err := x.ask("tcp4", worldAddr+":80"); got == "" {
			t.Errorf("in a new table: %v", err)
		}
	}
}

var _ = network.Options{}
