package controller

import (
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
}

// readHosts returns the names of the controller. address is its address for browsers in [auth], or
// "".
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

// hosts returns the current names of the controller.
func (k *controller) hosts() apiprocess.Hosts {
	out := apiprocess.Hosts{Names: func() []string { return k.now.Load().hosts }}
	if k.files != nil {
		out.Certificate = k.files.Leaf
	}
	return out
}
