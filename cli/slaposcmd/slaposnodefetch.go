package slaposcmd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/policy/fetch"
)

// nodeFetch says where a node may fetch parts of releases, as words of package fetch.
type nodeFetch struct{ allow, deny []string }

// fetching reads these settings. The master's users say what its nodes build. So a node may fetch
// only from the internet, its master and fetch_allow. A master on this machine without TLS has only
// local users, who reach its neighbours anyway.
func (n *NodeCommand) fetching() (out nodeFetch, err error) {
	if out.allow, _, err = fetchRules(n.File, "slapos", "fetch_allow"); err != nil {
		return out, err
	}
	if out.deny, _, err = fetchRules(n.File, "slapos", "fetch_deny"); err != nil {
		return out, err
	}
	at, err := url.Parse(n.Node.Master)
	if err != nil || at.Hostname() == "" {
		return out, nil // the master's client reports what is wrong
	}
	ip, err := netip.ParseAddr(at.Hostname())
	if len(out.allow) == 0 && at.Scheme == "http" && (at.Hostname() == "localhost" || err == nil && ip.IsLoopback()) {
		out.allow = fetch.Words()
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	out.allow = append(out.allow, net.JoinHostPort(at.Hostname(), port))
	return out, nil
}

// guard makes the guard. refused gets each refusal, and may be nil.
func (f nodeFetch) guard(refused func(line string)) (*fetch.Guard, error) {
	allow, err := fetch.Parse(f.allow)
	if err != nil {
		return nil, fault.Invalid("", "fetch_allow: %w", err)
	}
	deny, err := fetch.Parse(f.deny)
	if err != nil {
		return nil, fault.Invalid("", "fetch_deny: %w", err)
	}
	o := fetch.Options{Allow: allow, Deny: deny}
	if refused != nil {
		o.Refused = func(_ context.Context, r *fetch.Refused) {
			refused(fmt.Sprintf("Not fetched: %s is %s", r.Where(), r.Why))
		}
	}
	return fetch.New(o), nil
}

// words returns the options for the program that unpacks images.
func (f nodeFetch) words() []string {
	return []string{"--fetch-allow=" + strings.Join(f.allow, ","), "--fetch-deny=" + strings.Join(f.deny, ",")}
}
