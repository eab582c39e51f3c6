//go:build linux

package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

// Options configure the network of an installation's sandboxes.
type Options struct {
	Installation string // the owner of the links and rules; required
	// of the installation, the same for all its sources; required, made if its parent exists
	Dir string
	// IPv4 addresses for sandboxes, /8 to /28; the zero value: one of three that is free here
	Range  netip.Prefix
	Egress egress.Policy // destinations that the attached sandboxes may connect to
	// name servers, which sandboxes reach at port 53 despite all refusals: those that resolvConf
	// returned
	Nameservers []netip.Addr
	// a command that runs Answer for Dir, for policies with names; none: names are refused
	Answers []string
	Without []string // defences that are off: for tests alone
}

// Forward is a port of this machine that leads into a sandbox.
type Forward struct {
	// of this machine; the zero value: each of its IPv4 addresses, with 127.0.0.1
	Address  netip.Addr
	HostPort uint16 // here
	Port     uint16 // in the sandbox
	UDP      bool   // else TCP
}

// String returns the form that ParseForward reads.
func (f Forward) String() string {
	s := fmt.Sprintf("%d:%d", f.HostPort, f.Port)
	if f.Address.IsValid() {
		s = f.Address.String() + ":" + s
	}
	if f.UDP {
		s += "/udp"
	}
	return s
}

func (f Forward) network() string {
	if f.UDP {
		return "udp"
	}
	return "tcp"
}

// local reports whether 127.0.0.1 leads in.
func (f Forward) local() bool { return !f.Address.IsValid() || f.Address.IsLoopback() }

// ParseForward reads [ADDRESS:]HOSTPORT:PORT[/udp].
func ParseForward(s string) (Forward, error) {
	bad := func(why string) (Forward, error) {
		return Forward{}, &compute.Error{
			Op: "network.ParseForward", Kind: compute.ErrInvalid, Err: fmt.Errorf("%q: %s", s, why),
			Hint: "ports are given as [ADDRESS:]HOSTPORT:PORT[/udp]",
		}
	}
	var f Forward
	rest, proto, ok := strings.Cut(s, "/")
	switch {
	case ok && proto == "udp":
		f.UDP = true
	case ok && proto != "tcp":
		return bad("neither tcp nor udp")
	}
	parts := strings.Split(rest, ":")
	if len(parts) == 3 {
		addr, err := netip.ParseAddr(parts[0])
		if err != nil || !addr.Is4() {
			return bad("not an IPv4 address")
		}
		if !addr.IsUnspecified() {
			f.Address = addr
		}
		parts = parts[1:]
	}
	if len(parts) != 2 {
		return bad("not two ports")
	}
	for i, to := range []*uint16{&f.HostPort, &f.Port} {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil || n == 0 {
			return bad("not a port")
		}
		*to = uint16(n)
	}
	return f, nil
}

// check refuses options without an installation or directory. An unset range is no error.
func (o *Options) check() error {
	if o.Installation == "" || o.Dir == "" || strings.ContainsAny(o.Installation, " \n") || len(o.Installation) > 64 {
		return errors.New("the installation's id and directory are needed")
	}
	if r := o.Range; r.IsValid() && (!r.Addr().Is4() || r.Bits() < 8 || r.Bits() > 28) {
		return fmt.Errorf("range %s: not a range of IPv4 addresses between /8 and /28", r)
	}
	return nil
}
