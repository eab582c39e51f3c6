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

// nodeFetch is where a node fetches what releases are made of, by its file: words of package fetch.
type nodeFetch struct{ allow, deny []string }

// fetching reads it. The users of a master say what its nodes build, so a node fetches from the
// internet, from its master and from what fetch_allow says. A master that is asked without TLS on
// this machine has this machine's users alone: they come to its neighbours by themselves.
func (n *NodeCommand) fetching() (out nodeFetch, err error) {
	if out.allow, _, err = fetchRules(n.File, "slapos", "fetch_allow"); err != nil {
		return out, err
	}
	if out.deny, _, err = fetchRules(n.File, "slapos", "fetch_deny"); err != nil {
		return out, err
	}
	at, err := url.Parse(n.Node.Master)
	if err != nil || at.Hostname() == "" {
		return out, nil // the master's client says what is wrong with it
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

// guard makes the guard of these words. refused, which may be nil, hears of each refusal.
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

// words are the options by which the program that lays images out has them.
func (f nodeFetch) words() []string {
	return []string{"--fetch-allow=" + strings.Join(f.allow, ","), "--fetch-deny=" + strings.Join(f.deny, ",")}
}
