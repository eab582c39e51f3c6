package controller

import (
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/front"
	"github.com/hostler-project/hostler/host"
)

// controllerSection is [controller].
type controllerSection struct {
	// names by which it is asked, beside its addresses and those of its certificate; *.DOMAIN for
	// all of one, * for every name
	Hosts []string `conf:"hosts"`
}

// readHosts reads them. address is where browsers see the controller, as [auth] says it; "": it
// does not.
func readHosts(cfg *config.Config, address string) ([]string, error) {
	section := cfg.Sections["controller"]
	var said controllerSection
	if err := host.DecodeSection(section, &said); err != nil {
		return nil, err
	}
	for _, name := range said.Hosts {
		if bare := strings.TrimPrefix(strings.TrimPrefix(name, "*"), "."); strings.ContainsAny(bare, "*/: ") || bare == "" && name != "*" {
			return nil, fault.Invalid(
				"hosts = hostler.example.org, *.example.net", "%s: [controller] hosts: %q is no name of a host",
				section["hosts"].File, name,
			)
		}
	}
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return append(said.Hosts, u.Hostname()), nil
	}
	return said.Hosts, nil
}

// hosts are the names by which the controller is asked now.
func (k *Controller) hosts() front.Hosts {
	out := front.Hosts{Names: func() []string { return k.now.Load().hosts }}
	if k.files != nil {
		out.Certificate = k.files.Leaf
	}
	return out
}
