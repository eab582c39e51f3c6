package deployment

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// DefaultCIDR is the default range of the subnet.
const DefaultCIDR = "192.168.64.0/18"

// DefaultDNS are the default name servers of the subnet.
var DefaultDNS = []string{"8.8.4.4", "8.8.8.8"}

// Settings say how a deployment is to be. The zero value is a network with the defaults and no
// security group.
type Settings struct {
	// the ports that others may reach: 22, 8000-8010, udp/53. None: no security group
	Ports []string `json:"ports,omitempty"`
	// the networks that may reach them; none: the deployment's own subnets
	From []string `json:"from,omitempty"`
	// an existing network that is used unchanged, by name or id; "": one is made
	Network string `json:"network,omitempty"`
	// the range of the subnet that is made, or that is looked for in a cloud
	CIDR    string `json:"cidr"`
	Gateway string `json:"gateway,omitempty"` // the gateway of that subnet; "": the first address
	// the range of a second subnet, for IPv6; "": there is none
	CIDR6 string   `json:"cidr6,omitempty"`
	DNS   []string `json:"dns,omitempty"` // name servers
	// there is no DHCP, so servers need a config drive
	NoDHCP bool `json:"no_dhcp,omitempty"`
	// the network of floating IPs; "": the only one, nova or public; none: no router
	External    string `json:"external,omitempty"`
	ConfigDrive bool   `json:"config_drive,omitempty"`
}

// NoExternal as Settings.External means no router: servers are reached only from inside.
const NoExternal = "none"

// names matches the names of deployments. They fit into a tag of 60 characters.
var names = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w -]+$`) })

const longestName = 40

// CheckName returns an error if a deployment cannot have a name.
func CheckName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "a deployment needs a name"
	case !names().MatchString(name):
		why = "the name contains disallowed characters: letters, digits, _, - and spaces are allowed"
	case strings.TrimSpace(name) != name || strings.HasPrefix(name, "-"):
		why = "the name begins or ends with a space, or begins with -"
	case len(name) > longestName:
		why = fmt.Sprintf("the name has %d characters, and %d are the most", len(name), longestName)
	default:
		return nil
	}
	return &compute.Error{ID: compute.ID(name), Kind: compute.ErrInvalid, Err: errors.New(why)}
}

// complete checks the settings and fills in the defaults.
func (s Settings) complete() (Settings, error) {
	wrong := func(format string, args ...any) (Settings, error) {
		return s, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	if s.CIDR == "" {
		s.CIDR = DefaultCIDR
	}
	cidr, err := netip.ParsePrefix(s.CIDR)
	if err != nil || !cidr.Addr().Is4() {
		return wrong("network cidr %q: not a range of IPv4 addresses, as %s", s.CIDR, DefaultCIDR)
	}
	if cidr != cidr.Masked() {
		return wrong("network cidr %s: it has bits of a host; the network is %s", s.CIDR, cidr.Masked())
	}
	if s.Gateway == "" {
		s.Gateway = cidr.Addr().Next().String()
	}
	if gateway, err := netip.ParseAddr(s.Gateway); err != nil || !cidr.Contains(gateway) {
		return wrong("network gateway ip %q: not an address of %s", s.Gateway, s.CIDR)
	}
	if s.CIDR6 != "" {
		six, err := netip.ParsePrefix(s.CIDR6)
		if err != nil || !six.Addr().Is6() || six != six.Masked() {
			return wrong("network cidr6 %q: not a range of IPv6 addresses, as fd00:1::/64", s.CIDR6)
		}
	}
	if s.DNS == nil {
		s.DNS = DefaultDNS
	}
	for _, dns := range s.DNS {
		if _, err := netip.ParseAddr(dns); err != nil {
			return wrong("network dns %q: not an address", dns)
		}
	}
	for _, from := range s.From {
		if _, err := netip.ParsePrefix(from); err != nil {
			return wrong("from %q: not a range of addresses, as 203.0.113.0/24", from)
		}
	}
	for _, port := range s.Ports {
		if _, err := parsePort(port); err != nil {
			return wrong("ports: %w", err)
		}
	}
	return s, nil
}

// portRange is a protocol with a range of ports. Two zeros are all ports.
type portRange struct {
	protocol string
	min, max int
}

// parsePort reads 22, 8000-8010, tcp/80 or udp/53.
func parsePort(text string) (portRange, error) {
	p := portRange{protocol: "tcp"}
	rest := text
	if protocol, after, ok := strings.Cut(text, "/"); ok {
		p.protocol, rest = strings.ToLower(protocol), after
	}
	first, last, isRange := strings.Cut(rest, "-")
	var err, err2 error
	p.min, err = strconv.Atoi(first)
	p.max = p.min
	if isRange {
		p.max, err2 = strconv.Atoi(last)
	}
	if p.protocol != "tcp" && p.protocol != "udp" || err != nil || err2 != nil || p.min < 1 || p.max > 65535 || p.min > p.max {
		return p, fmt.Errorf("%q is no port: write 22, 8000-8010 or udp/53", text)
	}
	return p, nil
}
