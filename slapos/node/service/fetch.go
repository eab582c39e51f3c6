package service

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

// FetchRules say where a node may fetch parts of releases, as words of package fetch.
type FetchRules struct{ Allow, Deny []string }

// fetchRules reads these settings. The master's users say what its nodes build. So a node may fetch
// only from the internet, its master and fetch_allow. A master on this machine without TLS has only
// local users, who reach its neighbours anyway.
func (n *Node) fetchRules() (out FetchRules, err error) {
	if out.Allow, _, err = n.File.Fetch("slapos", "fetch_allow"); err != nil {
		return out, err
	}
	if out.Deny, _, err = n.File.Fetch("slapos", "fetch_deny"); err != nil {
		return out, err
	}
	at, err := url.Parse(n.Settings.Master)
	if err != nil || at.Hostname() == "" {
		return out, nil // the master's client reports what is wrong
	}
	ip, err := netip.ParseAddr(at.Hostname())
	if len(out.Allow) == 0 && at.Scheme == "http" && (at.Hostname() == "localhost" || err == nil && ip.IsLoopback()) {
		out.Allow = fetch.Keywords()
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	out.Allow = append(out.Allow, net.JoinHostPort(at.Hostname(), port))
	return out, nil
}

// guard makes the guard. refused gets each refusal, and may be nil.
func (f FetchRules) guard(refused func(line string)) (*fetch.Guard, error) {
	allow, err := fetch.Parse(f.Allow)
	if err != nil {
		return nil, fault.Invalid("", "fetch_allow: %w", err)
	}
	deny, err := fetch.Parse(f.Deny)
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
func (f FetchRules) words() []string {
	return []string{"--fetch-allow=" + strings.Join(f.Allow, ","), "--fetch-deny=" + strings.Join(f.Deny, ",")}
}
