package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch/ranges"
)

// The words that stand for many addresses.
const (
	Internet = "internet"
	private  = "private"
	None     = "none"
)

// Rule is one entry of a policy. One of the first three fields is set.
type Rule struct {
	Word        string       // Internet or Private
	Net         netip.Prefix // an address or a range
	Name        string       // a name in lower case; "*." in front stands for all names below it
	First, Last uint16       // the ports; 0 and 0: all
}

// Policy says where an instance may go. The zero value is the default: the internet.
type Policy struct {
	rules []Rule
	none  bool
}

// Parse reads the entries of the key. No entry at all is the default. Its errors are ErrInvalid.
func Parse(words []string) (Policy, error) {
	var p Policy
	for _, w := range words {
		r, err := parseRule(strings.TrimSpace(w))
		switch {
		case err == nil && r.Word == None && len(words) > 1:
			err = fmt.Errorf("%s stands alone", None)
		case err == nil && r.Word == None:
			return Policy{none: true}, nil
		}
		if err != nil {
			return Policy{}, &compute.Error{Op: "egress", Kind: compute.ErrInvalid, Err: fmt.Errorf("egress: %q: %w", w, err),
				Hint: "egress is none, or internet, private, names, *.NAMES, addresses and ranges, each with :PORT or " +
					":PORT-PORT if you like, commas between"}
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// parseRule reads one entry of the key.
func parseRule(word string) (r Rule, err error) {
	host, ports, err := cut(word)
	if err != nil {
		return r, err
	}
	if ports != "" {
		if r.First, r.Last, err = portsOf(ports); err != nil {
			return r, err
		}
	}
	switch host = strings.ToLower(host); host {
	case "":
		return r, fmt.Errorf("nothing is named")
	case Internet, private:
		r.Word = host
		return r, nil
	case None:
		if ports != "" {
			return r, fmt.Errorf("%s has no ports", None)
		}
		r.Word = None
		return r, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		r.Net = netip.PrefixFrom(addr, addr.BitLen())
		return r, nil
	}
	if net, err := netip.ParsePrefix(host); err == nil {
		r.Net = net.Masked()
		return r, nil
	}
	if r.Name = strings.TrimSuffix(host, "."); !isName(strings.TrimPrefix(r.Name, "*.")) {
		return r, fmt.Errorf("neither a word, an address, a range nor a name")
	}
	return r, nil
}

// cut takes the ports off an entry. An IPv6 address with ports has brackets.
func cut(word string) (host, ports string, err error) {
	if inner, ok := strings.CutPrefix(word, "["); ok {
		host, ports, ok = strings.Cut(inner, "]")
		if !ok || ports != "" && ports[0] != ':' {
			return "", "", fmt.Errorf("a bracket is not closed")
		}
		return host, strings.TrimPrefix(ports, ":"), nil
	}
	if strings.Count(word, ":") != 1 {
		return word, "", nil
	}
	host, ports, _ = strings.Cut(word, ":")
	if ports == "" {
		return "", "", fmt.Errorf("no port follows the colon")
	}
	return host, ports, nil
}

// portsOf reads PORT or PORT-PORT, inclusive. A single port is both first and last.
func portsOf(s string) (first, last uint16, err error) {
	a, b, two := strings.Cut(s, "-")
	if !two {
		b = a
	}
	x, errA := strconv.ParseUint(a, 10, 16)
	y, errB := strconv.ParseUint(b, 10, 16)
	if errA != nil || errB != nil || x == 0 || y < x {
		return 0, 0, fmt.Errorf("%q is neither a port nor PORT-PORT", s)
	}
	return uint16(x), uint16(y), nil
}

// isName reports whether a text is a host's name. The last label must not look like a number: that
// would be a mistyped address.
func isName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, c := range l {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	top := labels[len(labels)-1]
	// else a mistyped address
	return strings.Trim(top, "0123456789") != "" && !strings.HasPrefix(top, "0x")
}

// Rules returns the entries, and for the default its one. An empty list lets nothing through.
func (p Policy) Rules() []Rule {
	switch {
	case p.none:
		return nil
	case len(p.rules) == 0:
		return []Rule{{Word: Internet}}
	}
	return slices.Clone(p.rules)
}

// None reports whether nothing may be reached at all.
func (p Policy) None() bool { return p.none }

// Words returns the entries as Parse reads them.
func (p Policy) Words() (out []string) {
	if p.none {
		return []string{None}
	}
	for _, r := range p.Rules() {
		out = append(out, r.String())
	}
	return out
}

// String returns all entries in one line.
func (p Policy) String() string { return strings.Join(p.Words(), ", ") }

// String returns the text that Parse reads as this entry.
func (r Rule) String() string {
	s := r.Word + r.Name
	if r.Net.IsValid() {
		if s = r.Net.String(); r.Net.IsSingleIP() {
			s = r.Net.Addr().String()
		}
	}
	if r.First == 0 {
		return s
	}
	if r.Net.IsValid() && r.Net.Addr().Is6() {
		s = "[" + s + "]"
	}
	s += ":" + strconv.Itoa(int(r.First))
	if r.Last != r.First {
		s += "-" + strconv.Itoa(int(r.Last))
	}
	return s
}

// Named reports whether the policy has names, which the enforcer has to look up and watch.
func (p Policy) Named() bool {
	return slices.ContainsFunc(p.rules, func(r Rule) bool { return r.Name != "" })
}

// Names returns the indexes in Rules of the entries that a name matches.
func (p Policy) Names(name string) (out []int) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	for i, r := range p.rules {
		below, all := strings.CutPrefix(r.Name, "*")
		if r.Name != "" && (name == r.Name || all && strings.HasSuffix(name, below) && len(name) > len(below)) {
			out = append(out, i)
		}
	}
	return out
}

// Asks reports whether any name may be looked up. It may where addresses can be reached whose names
// are not known.
func (p Policy) Asks() bool {
	return slices.ContainsFunc(p.Rules(), func(r Rule) bool { return r.Word != "" })
}

// Reaches reports whether an address may be reached at some port without a name.
func (p Policy) Reaches(a netip.Addr) bool {
	a = a.Unmap()
	never := ranges.Within(a, Never())
	return slices.ContainsFunc(p.Rules(), func(r Rule) bool {
		switch {
		case r.Net.IsValid():
			return r.Net.Contains(a) && (!never || r.Above())
		case r.Word == Internet:
			return Public(a)
		case r.Word == private:
			return !never && !Public(a)
		}
		return false
	})
}

// Above reports whether a range lies within what is otherwise never reached. Such a range can only
// be intended.
func (r Rule) Above() bool {
	return r.Net.IsValid() &&
		slices.ContainsFunc(Never(), func(n netip.Prefix) bool { return n.Bits() <= r.Net.Bits() && n.Contains(r.Net.Addr()) })
}
