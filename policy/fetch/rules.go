package fetch

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/policy/fetch/ranges"
	"github.com/hostler-project/hostler/text/nearest"
)

// Rules are addresses and hosts that the operator has named.
type Rules []rule

// rule is one rule. One of word, prefix and host is set.
type rule struct {
	word   string
	prefix netip.Prefix
	host   string // in lower case, without a final dot; "*.NAME": all below NAME
	port   uint16 // 0: any
}

// The words that stand for many addresses.
const (
	wordLoopback = "loopback"
	wordPrivate  = "private"
	wordOwn      = "own"
)

// Keywords returns the words that a rule may be.
func Keywords() []string { return []string{wordLoopback, wordPrivate, wordOwn} }

// Parse reads rules:
//
//	10.1.0.0/16         a range of addresses
//	10.1.2.3, [::1]:80  an address, with a port or with all
//	registry.local:5000 a host by its requested name, whatever it resolves to
//	*.corp.example      all hosts below a name
//	loopback            127.0.0.0/8 and ::1
//	private             10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7
//	own                 the addresses of this machine's interfaces
//
// A range opens private and reserved addresses. It opens loopback and link-local addresses only if
// all of it is inside those ranges. It never opens this machine's own addresses or metadata
// services; for these, name the address itself. A host opens neither link-local addresses nor
// metadata services.
func Parse(words []string) (all Rules, err error) {
	for _, w := range words {
		r, err := parseRule(strings.ToLower(strings.TrimSpace(w)))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// parseRule reads one rule in lower case: a word, a range, an address or a host.
func parseRule(w string) (rule, error) {
	for _, known := range Keywords() {
		if w == known {
			return rule{word: w}, nil
		}
	}
	if strings.Contains(w, "/") {
		p, err := netip.ParsePrefix(w)
		if err != nil || p != p.Masked() {
			return rule{}, fmt.Errorf("%q is no range of addresses: write it as 10.1.0.0/16, without bits behind it", w)
		}
		return rule{prefix: p}, nil
	}
	host, port := w, uint16(0)
	if h, p, err := net.SplitHostPort(w); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return rule{}, fmt.Errorf("%q: %q is no port", w, p)
		}
		host, port = h, uint16(n)
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && a.Zone() == "" {
		a = unmap(a)
		return rule{prefix: netip.PrefixFrom(a, a.BitLen()), port: port}, nil
	}
	host = strings.TrimSuffix(host, ".")
	if !isName(host) || port == 0 && !strings.Contains(host, ".") {
		if meant := nearest.Near(w, Keywords()); meant != "" {
			return rule{}, fmt.Errorf("%q is nothing that can be allowed: did you mean %s?", w, meant)
		}
		return rule{}, fmt.Errorf(
			"%q is nothing that can be allowed: write a range (10.1.0.0/16), an address, HOST:PORT, or one of %s", w,
			strings.Join(Keywords(), ", "),
		)
	}
	return rule{host: host, port: port}, nil
}

// isName reports whether a text is a host name or *.NAME. A name whose last label is a number is
// none: some resolvers read it as an address.
func isName(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// RulesFor returns rules that allow the hosts and ports of URLs in the operator's configuration.
// Texts that are not URLs are skipped.
func RulesFor(urls ...string) (all Rules) {
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			continue
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil {
			a = unmap(a)
			all = append(all, rule{prefix: netip.PrefixFrom(a, a.BitLen()), port: uint16(n)})
			continue
		}
		all = append(all, rule{host: foldHost(u.Hostname()), port: uint16(n)})
	}
	return all
}

// foldHost brings a host name to lower case without a final dot.
func foldHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// target is what is judged: a host with one of its addresses.
type target struct {
	host string // folded
	port uint16
	addr netip.Addr // plain
	kind kind
}

// match reports whether one of the rules covers a target.
func (all Rules) match(t target) bool {
	for _, r := range all {
		if r.match(t) {
			return true
		}
	}
	return false
}

// match reports whether the rule covers a target. All parts of the rule must match.
func (r rule) match(t target) bool {
	switch {
	case r.port != 0 && r.port != t.port:
		return false
	case r.word != "":
		return map[string]kind{wordLoopback: loopback, wordPrivate: private, wordOwn: ownAddress}[r.word] == t.kind
	case r.host != "":
		below, wild := strings.CutPrefix(r.host, "*")
		return r.host == t.host || wild && strings.HasSuffix(t.host, below) && len(t.host) > len(below)
	}
	return r.prefix.Contains(t.addr)
}

// allow reports whether the rules allow a target that is not public.
func (all Rules) allow(t target) bool {
	for _, r := range all {
		if !r.match(t) {
			continue
		}
		switch {
		case r.word != "", r.prefix.IsValid() && r.prefix.IsSingleIP():
			return true
		case r.host != "":
			if t.kind != metadata && t.kind != linkLocal {
				return true
			}
		case t.kind == loopback && inside(r.prefix, ranges.Loopback),
			t.kind == linkLocal && inside(r.prefix, ranges.Link), t.kind == private, t.kind == reserved:
			return true
		}
	}
	return false
}

// inside reports whether a range is entirely in one of others.
func inside(p netip.Prefix, all []netip.Prefix) bool {
	for _, o := range all {
		if p.Bits() >= o.Bits() && o.Contains(p.Addr()) {
			return true
		}
	}
	return false
}
