// Package firewall guards the routed addresses of a SlapOS partition. It admits the instances of
// its tree, and the addresses that the node's settings or the instance's placement name. It does so
// by rules of firewalld, which are kept over a reboot.
package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
)

// routed is the prefix of interfaces whose addresses are guarded.
const routed = "route_"

// The keys of an instance's placement that say which addresses may reach it.
const (
	// "off": all but the rejected; else the authorized alone
	keyRestricted = "fw_restricted_access"
	keyAuthorized = "fw_authorized_sources"
	keyRejected   = "fw_rejected_sources"
)

// restricted says whether a partition has addresses for which there are rules, and whether only
// some may speak to them, so that its tree must be known.
func restricted(p *proto.Partition) (addresses, restricted bool) {
	return len(addressesOf(p)) > 0, text(p, keyRestricted) != "off"
}

// rulesOf are the rules for the addresses of a partition, as the words of firewalld's direct rules
// after the family: "filter INPUT 0 -s …". tree are the addresses of its tree, authorized those
// that may always.
func rulesOf(p *proto.Partition, tree []proto.Address, authorized []string) ([]string, error) {
	fail := func(err error) ([]string, error) {
		return nil, &compute.Error{Op: "firewall.Rules", ID: compute.ID(p.ID), Kind: compute.ErrInvalid, Err: err}
	}
	_, restricted := restricted(p)
	var sources []string
	key := keyRejected
	if restricted {
		key = keyAuthorized
		for _, a := range tree {
			if ip, err := netip.ParseAddr(a.IP); err == nil && ip.Is4() {
				sources = append(sources, ip.String())
			}
		}
		for _, one := range authorized {
			source, err := parseSource(one)
			if err != nil {
				return fail(fmt.Errorf("authorized_sources in [firewall]: %w", err))
			}
			sources = append(sources, source)
		}
	}
	for _, one := range strings.FieldsFunc(text(p, key), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		source, err := parseSource(one)
		if err != nil {
			return fail(fmt.Errorf("its placement's %s: %w", key, err))
		}
		sources = append(sources, source)
	}
	var rules []string
	add := func(priority int, words ...string) {
		for _, chain := range []string{"INPUT", "FORWARD"} {
			if rule := fmt.Sprintf("filter %s %d %s", chain, priority, strings.Join(words, " ")); !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
	}
	for _, to := range addressesOf(p) {
		for _, from := range sources {
			if restricted {
				add(0, "-s", from, "-d", to, "-j", "ACCEPT")
				continue
			}
			add(800, "-s", from, "-d", to, "-m", "state", "--state", "ESTABLISHED,RELATED", "-j", "REJECT")
			add(900, "-s", from, "-d", to, "-j", "REJECT")
		}
		if restricted {
			add(900, "-d", to, "-m", "state", "--state", "ESTABLISHED,RELATED", "-j", "REJECT")
			add(1000, "-d", to, "-j", "REJECT")
		}
	}
	return rules, nil
}

// addressesOf are the addresses of a partition for which there are rules.
func addressesOf(p *proto.Partition) (all []string) {
	add := func(name, address string) {
		if ip, err := netip.ParseAddr(address); strings.HasPrefix(name, routed) && err == nil && ip.Is4() &&
			!slices.Contains(all, ip.String()) {
			all = append(all, ip.String())
		}
	}
	for _, a := range p.Addresses {
		add(a.Interface, a.IP)
	}
	for _, a := range p.FullAddresses {
		add(a.Interface, a.IP)
	}
	return all
}

// text is a text of a partition's placement.
func text(p *proto.Partition, key string) string {
	s, _ := p.Filter[key].(string)
	return strings.TrimSpace(s)
}

// parseSource checks one that may, or may not: an address or a network.
func parseSource(s string) (string, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is4() {
		return ip.String(), nil
	}
	if n, err := netip.ParsePrefix(s); err == nil && n.Addr().Is4() {
		return n.Masked().String(), nil
	}
	return "", fmt.Errorf("%.100q is no IPv4 address or network", s)
}
