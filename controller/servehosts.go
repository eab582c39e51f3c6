package controller

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/apiprocess"
	"github.com/hostler-project/hostler/host"
)

// controllerSection is the section [controller].
type controllerSection struct {
	// names of the controller besides its addresses and those in its certificate; *.DOMAIN for all
	// names below one, * for any
	Hosts []string `conf:"hosts"`
	// networks of proxies, whose word for the address of a request counts; none: no one's does
	Proxies []string `conf:"proxies"`
}

// readHosts returns the names of the controller, and the networks of proxies before it. address is
// its address for browsers in [auth], or "".
func readHosts(cfg *config.Config, address string) (names []string, proxies []netip.Prefix, err error) {
	section := cfg.Sections["controller"]
	var said controllerSection
	if err := host.DecodeSection(section, &said); err != nil {
		return nil, nil, err
	}
	for _, text := range said.Proxies {
		one, err := netip.ParsePrefix(text)
		if ip, e := netip.ParseAddr(text); e == nil {
			one, err = ip.Prefix(ip.BitLen())
		}
		if err != nil {
			return nil, nil, fault.Invalid(
				"proxies = 192.0.2.7, 10.0.0.0/8", "%s: [controller] proxies: %q is no network", section["proxies"].File, text,
			)
		}
		proxies = append(proxies, one)
	}
	for _, name := range said.Hosts {
		if bare := strings.TrimPrefix(strings.TrimPrefix(name, "*"), "."); strings.ContainsAny(bare, "*/: ") || bare == "" && name != "*" {
			return nil, nil, fault.Invalid(
				"hosts = hostler.example.org, *.example.net", "%s: [controller] hosts: %q is no name of a host",
				section["hosts"].File, name,
			)
		}
	}
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return append(said.Hosts, u.Hostname()), proxies, nil
	}
	return said.Hosts, proxies, nil
}

// hosts returns the current names of the controller.
func (k *controller) hosts() apiprocess.Hosts {
	out := apiprocess.Hosts{Names: func() []string { return k.now.Load().hosts }}
	if k.files != nil {
		out.Certificate = k.files.Leaf
	}
	return out
}
